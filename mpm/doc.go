// Package mpm keeps the children of a server: what Apache calls a
// multi-processing module, with all that the MPMs share. It has the PidFile,
// the accept mutex, the scoreboard, the pipe of death, the parent that keeps
// children and the accept loop of a child. A package below it holds one MPM
// and only its topology: who accepts and who serves.
//
// Everything here runs inside the jail, so each path is the jail's.
//
// The parent is one thread: it waits in poll(2) for signals and for the next
// tick. A child learns that it is surplus by a byte in the pipe of death, and
// that its parent is gone by the end of the death pipe, whose only write end
// the parent holds: it comes even when the parent is killed with SIGKILL.
package mpm
