//! The interactive conditions of the design, each with the real binaries, a real terminal or pipe and a
//! real engine. The names begin with the condition's number; what each run finds is written down.

mod interactive {
    mod attach;
    mod clusters;
    mod endings;
    mod exec;
    mod exec_terminal;
    mod grants;
    mod latency;
    mod leaving;
    mod library;
    mod links;
    mod pipes;
    mod pull;
    mod screen;
    mod signals;
    mod terminal;
    mod verbs;
}
