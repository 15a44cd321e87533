//! Panics of the code under test: findings, not failures of the harness.
//!
//! Invariant: a panic inside a simulated run is caught, with its place, and not printed; any other one is
//! as loud as ever.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind, set_hook, take_hook};
use std::sync::Once;

thread_local! {
    static IS_SIMULATING: Cell<bool> = const { Cell::new(false) };
    static LAST: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Does `work`; an error is what a panic said and where.
pub(super) fn caught(work: impl FnOnce()) -> Result<(), String> {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let loud = take_hook();
        set_hook(Box::new(move |panic| {
            if IS_SIMULATING.get() {
                LAST.replace(describe(panic));
            } else {
                loud(panic);
            }
        }));
    });
    IS_SIMULATING.set(true);
    // The world is only read after a panic, to report what happened before it.
    let result = catch_unwind(AssertUnwindSafe(work));
    IS_SIMULATING.set(false);
    result.map_err(|_| LAST.take())
}

fn describe(panic: &PanicHookInfo<'_>) -> String {
    let payload = panic.payload();
    let said = payload.downcast_ref::<&str>().copied();
    let said = said.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    let said = said.unwrap_or("a panic without words");
    match panic.location() {
        Some(place) => format!("{said} ({}:{})", without_machine(place.file()), place.line()),
        None => said.to_owned(),
    }
}

/// Where a file of a library is, from the library's name on: what lies before is another on every machine.
fn without_machine(file: &str) -> &str {
    let in_registry = file
        .split_once("/registry/src/")
        .and_then(|(_, inside)| inside.split_once('/'));
    in_registry.map_or(file, |(_, library)| library)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_in_a_library_begins_with_its_name() {
        let file = "/home/x/.cargo/registry/src/index-1a/imbl-7.0.2/src/vector/focus.rs";
        assert_eq!(without_machine(file), "imbl-7.0.2/src/vector/focus.rs");
        assert_eq!(without_machine("noraft/src/log.rs"), "noraft/src/log.rs");
    }

    #[test]
    fn a_panic_is_told_with_its_place() {
        assert_eq!(caught(|| {}), Ok(()));
        let said = caught(|| panic!("index {} is committed", 7)).unwrap_err();
        assert!(
            said.starts_with("index 7 is committed (") && said.contains("panics.rs:"),
            "{said}"
        );
    }
}
