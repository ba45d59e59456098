package systest

import (
	"fmt"
	"strings"

	"github.com/httpjail/httpjail/sys"
)

var ipcFlags = map[string]int{"creat": sys.IPC_CREAT, "excl": sys.IPC_EXCL, "nowait": sys.IPC_NOWAIT, "undo": sys.SEM_UNDO, "rdonly": sys.SHM_RDONLY}

// key is the i'th word as a System V key of this case: private, or below 16.
func (a *agent) key(w args, i int) int {
	if w.str(i) == "private" {
		return sys.IPC_PRIVATE
	}
	return a.keys + w.num(i)
}

// id is the System V object with a name.
func (a *agent) id(name string) int {
	if id, ok := a.ids[name]; ok {
		return id
	}
	return number(name)
}

// newID names a System V object, and has the director remove it.
func (a *agent) newID(kind, name string, id int, err error) string {
	if err == nil {
		a.ids[name] = id
		a.notes = append(a.notes, fmt.Sprintf("%s %d", kind, id))
	}
	return ok(err)
}

func ipcPerm(p sys.IpcPerm) string {
	return fmt.Sprintf("%d:%d by %d:%d %04o", p.Uid, p.Gid, p.Cuid, p.Cgid, p.Mode)
}

// semCommands are the calls of sys.SemV.
var semCommands = map[string]command{
	// semget NAME KEY NSEMS FLAGS MODE
	"semget": func(a *agent, w args) string {
		id, err := a.s.Semget(a.key(w, 1), w.num(2), w.flags(3, ipcFlags)|int(w.oct(4)))
		return a.newID("sem", w.str(0), id, err)
	},
	// semop NAME NUM:OP[:FLAGS]... [TIMEOUT]
	"semop": func(a *agent, w args) string {
		var ops []sys.Sembuf
		i := 1
		for ; i < len(w) && strings.Contains(w[i], ":"); i++ {
			f := strings.SplitN(w[i]+":", ":", 3)
			ops = append(ops, sys.Sembuf{Num: uint16(number(f[0])), Op: int16(number(f[1])), Flg: int16(flagsOf(strings.TrimSuffix(f[2], ":"), ipcFlags))})
		}
		return ok(a.s.Semtimedop(a.id(w.str(0)), ops, w.timeout(i)))
	},
	"semset": func(a *agent, w args) string { return ok(a.s.SemSetval(a.id(w.str(0)), w.num(1), w.num(2))) },
	"semval": func(a *agent, w args) string { return val(a.s.SemGetval(a.id(w.str(0)), w.num(1))) },
	// semperm NAME UID GID MODE
	"semperm": func(a *agent, w args) string {
		return ok(a.s.SemSet(a.id(w.str(0)), sys.IpcPerm{Uid: uint32(w.num(1)), Gid: uint32(w.num(2)), Mode: w.oct(3)}))
	},
	"semstat": func(a *agent, w args) string {
		d, err := a.s.SemStat(a.id(w.str(0)))
		return val(fmt.Sprintf("%s n%d otime %t ctime %t", ipcPerm(d.Perm), d.Nsems, d.Otime != 0, d.Ctime != 0), err)
	},
	"semrm": func(a *agent, w args) string { return ok(a.s.SemRmid(a.id(w.str(0)))) },
}

// shmCommands are the calls of sys.ShmV.
var shmCommands = map[string]command{
	// shmget NAME KEY SIZE FLAGS MODE
	"shmget": func(a *agent, w args) string {
		id, err := a.s.Shmget(a.key(w, 1), w.num(2), w.flags(3, ipcFlags)|int(w.oct(4)))
		return a.newID("shm", w.str(0), id, err)
	},
	// shmat MEM NAME [rdonly]
	"shmat": func(a *agent, w args) string {
		m, err := a.s.Shmat(a.id(w.str(1)), w.optFlags(2, ipcFlags))
		if err == nil {
			a.mems[w.str(0)] = m
		}
		return ok(err)
	},
	"shmdt": func(a *agent, w args) string { return ok(a.s.Shmdt(a.mem(w.str(0)))) },
	"shmstat": func(a *agent, w args) string {
		d, err := a.s.ShmStat(a.id(w.str(0)))
		return val(fmt.Sprintf("%s s%d attached %d by <pid %d> last <pid %d>", ipcPerm(d.Perm), d.Segsz, d.Nattch, d.Cpid, d.Lpid), err)
	},
	"shmperm": func(a *agent, w args) string {
		return ok(a.s.ShmSet(a.id(w.str(0)), sys.IpcPerm{Uid: uint32(w.num(1)), Gid: uint32(w.num(2)), Mode: w.oct(3)}))
	},
	"shmrm": func(a *agent, w args) string { return ok(a.s.ShmRmid(a.id(w.str(0)))) },
}

func (a *agent) mem(name string) sys.Mem {
	m, ok := a.mems[name]
	if !ok {
		panic(scriptError("no mapping " + name))
	}
	return m
}

// memoryCommands are the calls of sys.Memory.
var memoryCommands = map[string]command{
	// mmap MEM FD OFF LEN PROT FLAGS
	"mmap": func(a *agent, w args) string {
		prot := map[string]int{"r": sys.PROT_READ, "w": sys.PROT_WRITE, "rw": sys.PROT_READ | sys.PROT_WRITE, "none": 0}
		flags := map[string]int{"shared": sys.MAP_SHARED, "private": sys.MAP_PRIVATE, "anon": sys.MAP_ANONYMOUS}
		m, err := a.s.Mmap(a.fd(w.str(1)), int64(w.num(2)), w.num(3), w.flags(4, prot), w.flags(5, flags))
		if err == nil {
			a.mems[w.str(0)] = m
		}
		return ok(err)
	},
	"munmap": func(a *agent, w args) string { return ok(a.s.Munmap(a.mem(w.str(0)))) },
	"load":   func(a *agent, w args) string { return fmt.Sprint(a.mem(w.str(0)).Load32(w.num(1))) },
	"store": func(a *agent, w args) string {
		a.mem(w.str(0)).Store32(w.num(1), uint32(w.num(2)))
		return "ok"
	},
	"add": func(a *agent, w args) string { return fmt.Sprint(a.mem(w.str(0)).Add32(w.num(1), uint32(w.num(2)))) },
	"cas": func(a *agent, w args) string {
		return fmt.Sprint(a.mem(w.str(0)).Cas32(w.num(1), uint32(w.num(2)), uint32(w.num(3))))
	},
	// futexwait MEM OFF VALUE [TIMEOUT]
	"futexwait": func(a *agent, w args) string {
		return ok(a.s.FutexWait(a.mem(w.str(0)), w.num(1), uint32(w.num(2)), w.timeout(3)))
	},
	"futexwake": func(a *agent, w args) string { return val(a.s.FutexWake(a.mem(w.str(0)), w.num(1), w.num(2))) },
}
