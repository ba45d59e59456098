package sys

// Sys is every kernel operation that a program can make, from one thread.
type Sys interface {
	Files
	Descriptors
	Dirs
	Attrs
	Space
	Xattrs
	Locks
	Procs
	Creds
	Signals
	SemV
	ShmV
	Memory
	Net
	Messages
	Poller
	Epoll
	Clock
	Threads
	Jail
	Mounts
}

// Program is a program: what a process runs from its start to its exit status.
// On the real backend it is called by main; on the simulated kernel it is the
// content of an executable file, and execve(2) of that file calls it.
//
// argv[0] is the process's name, as ps(1) shows it. A return is exit(2) with
// that status.
type Program func(s Sys, argv, env []string) int
