//! `mycomesh-relay`: the program around the library of the same name.

fn main() -> std::process::ExitCode {
    mycomesh_relay::main()
}
