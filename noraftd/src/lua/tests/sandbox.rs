//! Nothing differs between machines, and nothing leads out of a script.

use super::{check, run};

#[test]
fn nothing_has_an_address_or_an_order_of_its_own() {
    let text = "local t = {} for i = 1, 5 do t[{}] = i t[function() end] = -i end \
                local s = tostring({}) .. tostring(print_me or tostring) \
                for k, v in pairs(t) do s = s .. v .. tostring(k) end return s .. math.random(1000) .. math.random()";
    let text = text.replace("print_me or ", "");
    let once = run(&text);
    assert!(
        once.contains("1table: 0x") && once.contains("-1function: 0x"),
        "{once}"
    );
    for _ in 0..3 {
        assert_eq!(run(&text), once);
    }
    check(&[(
        "return tostring(0 / 0) .. tostring(-(0 / 0)) .. string.format('%f', 0 / 0)",
        "nannannan",
    )]);
}

#[test]
fn what_would_lead_out_is_not_there() {
    for name in [
        "load",
        "loadstring",
        "loadfile",
        "dofile",
        "require",
        "module",
        "collectgarbage",
        "gcinfo",
        "newproxy",
        "getfenv",
        "setfenv",
        "print",
        "io",
        "os",
        "debug",
        "package",
        "coroutine",
    ] {
        let text = format!("return {name}");
        let expected =
            format!("error: user_script:1: Script attempted to access nonexistent global variable '{name}'");
        assert_eq!(run(&text), expected);
        assert_eq!(run(&format!("return rawget(_G, '{name}')")), "nil");
    }
    assert_eq!(run("return string.dump"), "nil");
}
