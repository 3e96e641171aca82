//! `abi/` is what the pinned compiler makes of `contracts/`.

use std::process::Command;

#[test]
fn abi_is_compiled_from_contracts() {
    let output = Command::new("node")
        .args(["anvil/compile.mjs", "--check"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("node runs: it is a prerequisite of `make test`");
    assert!(
        output.status.success(),
        "abi/ and contracts/ differ, or the compiler is not installed (run `make abi`):\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
