// Package sys is the vocabulary of the project: the Linux kernel, as an
// interface that a program is handed instead of reaching for os, net or time.
//
// A program is a function (see [Program]) that receives a [Sys]. Two backends
// implement it: sys/real makes Linux system calls, sys/fake simulates a Linux
// kernel in memory. The same program runs on both.
//
// # Rules of the contract
//
//   - Calls are shaped like system calls: int file descriptors, flags, and a
//     bare [Errno] as the error, without the path. Callers wrap it with what
//     they tried; errors.Is(err, sys.ENOENT) and errors.Is(err, fs.ErrNotExist)
//     both hold. EINTR is returned wherever the manual page says so; the
//     helpers in this package that retry say so.
//   - A Sys belongs to one thread. Handing it to another goroutine is a bug
//     that sys/fake detects; [Threads.Go] starts a thread with a handle of its
//     own. File descriptors, process ids and [Mem] belong to the process and
//     may be used by each of its threads through the thread's own Sys.
//   - Shared memory is reached through [Mem] with atomic accesses only.
//   - Code that runs under Sys never blocks elsewhere: no channels, no
//     sync.Mutex, no time.Sleep, no net. sys/thread has Mutex, Cond, Queue and
//     WaitGroup over the futex calls of [Threads].
//   - Constants and structs are Linux's own, so that everything but sys/real
//     builds on other systems; a test in sys/real compares each with
//     golang.org/x/sys/unix.
//
// # Consumers take roles
//
// Sys is composed of small interfaces, one a concern. A function names the
// role that it needs (sys.Files, sys.Locks) and not Sys, so that a reader sees
// at once what it can touch and a test can hand it little.
package sys
