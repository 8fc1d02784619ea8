//! The command line, which is also the window's helper.

fn main() -> std::process::ExitCode {
    sugar_cellar::helper::main()
}
