//! Uses inputs, or searches for them: `FUZZ_TARGET=resp fuzz FILE...`.
//!
//! Without the feature `libfuzzer` it runs the named files once, for looking at a finding. With it, libFuzzer owns the
//! command line (`-help=1` lists its flags).
#![cfg_attr(feature = "libfuzzer", no_main)]

use fuzz::Target;

/// The target that the environment names.
fn chosen() -> Target {
    let name = std::env::var("FUZZ_TARGET").unwrap_or_default();
    fuzz::target(&name).unwrap_or_else(|| {
        let names = fuzz::TARGETS.map(|target| target.name).join(", ");
        panic!("FUZZ_TARGET={name}: expected one of {names}")
    })
}

#[cfg(feature = "libfuzzer")]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    static TARGET: std::sync::LazyLock<Target> = std::sync::LazyLock::new(chosen);
    (TARGET.run)(bytes);
});

#[cfg(not(feature = "libfuzzer"))]
fn main() -> Result<(), String> {
    let target = chosen();
    for file in std::env::args_os().skip(1) {
        let name = file.to_string_lossy();
        let bytes = std::fs::read(&file).map_err(|error| format!("{name}: {error}"))?;
        (target.run)(&bytes);
        println!("{name}: nothing wrong");
    }
    Ok(())
}
