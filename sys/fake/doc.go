// Package fake is a simulated Linux kernel: the backend of package sys that runs
// programs in memory.
//
// [Boot] makes a [Machine] with a filesystem. Programs are Go functions that are
// installed as the content of executable files ([Machine.Install]): execve
// resolves their paths inside the caller's root, so "the binary is not in the
// jail" fails here too. [Machine.Start] starts a process as a child of init, and
// [Machine.StartFunc] a function, which is how tests write clients.
//
// # Two modes
//
// In [Deterministic] mode one thread runs at a time. Each system call is a point
// where another may be picked, by Config.Seed; time is virtual, so that an
// hour's sleep takes none. The machine runs inside [Machine.Run],
// [Machine.RunUntil] and [Machine.Wait], and between them it stands still and can
// be looked at: [Machine.Processes], [Machine.ReadFile]. The same seed gives the
// same run, which [Machine.TraceHash] shows. Programs that wait for each other
// for ever are a deadlock, which Run reports with who waits for what. One
// Machine is used by one goroutine.
//
// In [FreeRunning] mode threads are goroutines, time is real, processes run from
// Start on, and [Machine.Bridge] lets real connections in. The race detector sees
// the program's races in this mode alone: in the other each hand-over
// synchronizes.
//
// # Death
//
// A process that is killed begins no further call. When none of its threads is
// inside one any more the kernel closes its files, drops its locks, undoes its
// semaphores, detaches its shared memory and tells its parent; in deterministic
// mode all this comes before any other thread runs. Its threads unwind with
// runtime.Goexit: deferred functions run, and each call or access to shared
// memory that they try unwinds again.
//
// # Where it differs from Linux
//
//   - There is no fork without exec: Spawn is both.
//   - There are no controlling terminals: SIGTSTP, SIGTTIN and SIGTTOU come from
//     kill(2) alone.
//   - In free-running mode a program that is stopped goes on computing until its
//     next call or access to shared memory.
//   - Signals have the default actions that the Go runtime gives them on the real
//     kernel, not those of signal(7): SIGUSR1 is swallowed, SIGQUIT is exit
//     status 2, and every write to a broken pipe is EPIPE. One that does not kill
//     interrupts one thread, chosen by the seed, even if it is SIGCHLD and nobody
//     asked for it.
//   - A panic of a program is death by SIGABRT, as with GOTRACEBACK=crash. What
//     else crashes a Go program is that only with this in its environment. A core
//     has no memory in it, but a text that says what the process died of.
//   - [sys.Signals].Signalfd always reads the signals of the process that made it.
//   - Of namespaces there are those of mounts and of System V IPC, and that of
//     CLONE_NEWUTS, which has nothing to change; Unshare of others is ENOSYS.
//   - The ambient capability set, securebits, ptrace, seccomp and cgroups do not
//     exist. Prctl returns EINVAL for what it does not know.
//
// # Locks
//
// From the outside in:
//
//	Machine.mu      the process table, see Machine.lock
//	  fdTable.mu    a process's descriptors
//	Machine.randMu  entropy
//
// The subsystems vfs, net and ipc have their own. Machine.mu is never held across
// a call into them, except to name a place (Tree.PathString) or to hold one
// (Path.Hold); they call back (procfs, signal files) with none of their locks that
// these take.
package fake
