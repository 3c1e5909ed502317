//! The interactive conditions of the design, each with the real binaries, a real terminal or pipe and a
//! real engine. The names begin with the condition's number.

mod interactive {
    mod attach;
    mod endings;
    mod exec;
    mod pipes;
    mod pull;
    mod terminal;
    mod verbs;
}
