//! The `fusionproxy` command.
fn main() {}
