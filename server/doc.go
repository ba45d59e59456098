// Package server is the web server: it starts in phases, goes to jail between
// two of them, and serves HTTP in the children that an MPM keeps.
//
//	configure  read and decode the configuration
//	prejail    modules and server open what they need outside: logs, types, users
//	listen     sockets, while low ports may still be bound
//	jail       chdir, chroot, chdir
//	mpm        PidFile, accept mutex, scoreboard: inside
//	serve      children
//	stop       children end, nothing is left behind
//
// The phase stands in each error and log line. A child is the same program
// executed anew, from a descriptor that was opened before the jail closed: the
// jail itself may be empty. What the parent found outside reaches the child in
// a memfd (see handover.go).
//
// The program runs on any backend of sys.Sys and imports none.
package server
