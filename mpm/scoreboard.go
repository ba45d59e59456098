package mpm

import (
	"time"

	"github.com/httpjail/httpjail/sys"
)

// Status is the state of one worker slot, as in httpd's scoreboard.h.
type Status uint32

// The states, with the letters that mod_status prints.
const (
	Dead      Status = iota // . open slot
	Starting                // S
	Ready                   // _ waiting for a connection
	Reading                 // R
	Writing                 // W
	KeepAlive               // K
	Logging                 // L
	DNS                     // D
	Closing                 // C
	Graceful                // G gracefully finishing
	IdleKill                // I idle clean-up
)

// Letter is the state as one character.
func (st Status) Letter() byte {
	const letters = ".S_RWKLDCGI"
	if int(st) < len(letters) {
		return letters[st]
	}
	return '?'
}

// The scoreboard's layout: a header, then ServerLimit process records, then
// ServerLimit x ThreadLimit worker records. Each record has one writer: the
// child while it lives, the parent once it has reaped it. Readers take no
// lock: a worker's sequence word is odd while its counters change.
const (
	recordSize = 64

	headerMagic      = 0  // 64 bits
	headerServers    = 8  // 32 bits: ServerLimit
	headerThreads    = 12 // ThreadLimit
	headerGeneration = 16
	headerParent     = 20 // pid
	headerStarted    = 24 // 64 bits: ns since the epoch

	processPid        = 0
	processGeneration = 4
	processQuiescing  = 8
	processFull       = 12 // it takes no connections for now
	processStarted    = 16 // 64 bits: ns since the epoch
	processLock       = 24 // LockState

	workerSeq      = 0
	workerStatus   = 4
	workerTid      = 8
	workerAccesses = 16 // 64 bits
	workerBytes    = 24 // 64 bits
	workerConns    = 32 // 64 bits
	workerLast     = 40 // 64 bits: ns since the epoch of the last request

	// What processQuiescing holds.
	isEnding    = 1 // the child accepts no more
	wantsRelief = 2 // it will be, when its replacement has been started

	// maxRecords keeps ScoreboardSize far from an overflow. The directives'
	// bounds are lower.
	maxRecords = 1 << 20

	scoreboardMagic = 0x31424a5054544821 // "!HTTPJB1"
)

// Scoreboard is the memory that parent and children share.
type Scoreboard struct {
	mem              sys.Mem
	servers, threads int
}

// ScoreboardSize is the number of bytes that a scoreboard takes.
func ScoreboardSize(servers, threads int) int {
	return recordSize * (1 + servers + servers*threads)
}

// CreateScoreboard makes the scoreboard in the parent: in the file of
// Config.ScoreBoardFile where set, else in memory without a name. fd is for
// the children to inherit.
func CreateScoreboard(s sys.Sys, c *Config) (sb *Scoreboard, fd int, err error) {
	file := c.ScoreBoardFile
	fail := func(op string, err error) (*Scoreboard, int, error) {
		return nil, -1, &FileError{"scoreboard_file", op, file, err}
	}
	if file == "" {
		fd, err = s.MemfdCreate("httpjail scoreboard", sys.MFD_CLOEXEC)
		if err != nil {
			return fail("create the scoreboard's shared memory", err)
		}
	} else {
		if err := removeFile(s, file); err != nil {
			return fail("replace the ScoreBoardFile", err)
		}
		fd, err = s.Open(file, sys.O_RDWR|sys.O_CREAT|sys.O_EXCL|sys.O_CLOEXEC|sys.O_NOFOLLOW, 0o644)
		if err != nil {
			return fail("create the ScoreBoardFile", err)
		}
	}
	size := ScoreboardSize(c.ServerLimit, c.ThreadLimit)
	err = s.Ftruncate(fd, int64(size))
	if err == nil && file != "" {
		// A hole that the disk cannot fill is SIGBUS at the first store.
		err = fillFile(s, fd, size)
	}
	var mem sys.Mem
	if err == nil {
		mem, err = s.Mmap(fd, 0, size, sys.PROT_READ|sys.PROT_WRITE, sys.MAP_SHARED)
	}
	if err != nil {
		s.Close(fd)
		if file != "" {
			removeFile(s, file)
		}
		return fail("size and map the scoreboard", err)
	}
	sb = &Scoreboard{mem, c.ServerLimit, c.ThreadLimit}
	mem.Store32(headerServers, uint32(c.ServerLimit))
	mem.Store32(headerThreads, uint32(c.ThreadLimit))
	mem.Store32(headerParent, uint32(s.Getpid()))
	mem.Store64(headerStarted, uint64(s.Now().UnixNano()))
	mem.Store64(headerMagic, scoreboardMagic)
	return sb, fd, nil
}

func fillFile(s sys.Files, fd, size int) error {
	zeros := make([]byte, 64<<10)
	for off := 0; off < size; {
		n, err := s.Pwrite(fd, zeros[:min(len(zeros), size-off)], int64(off))
		if err == sys.EINTR {
			continue
		}
		if err != nil {
			return err
		}
		off += n
	}
	return nil
}

// OpenScoreboard maps an inherited scoreboard. EINVAL: fd holds none.
func OpenScoreboard(s sys.Sys, fd int) (*Scoreboard, error) {
	return mapScoreboard(s, fd, sys.PROT_READ|sys.PROT_WRITE)
}

// ReadScoreboard maps a ScoreBoardFile for a look from outside: at a server
// that runs, or at what one that was killed has left. EINVAL: fd holds none.
func ReadScoreboard(s sys.Sys, fd int) (*Scoreboard, error) {
	return mapScoreboard(s, fd, sys.PROT_READ)
}

func mapScoreboard(s sys.Sys, fd, prot int) (*Scoreboard, error) {
	var st sys.Stat
	if err := s.Fstat(fd, &st); err != nil {
		return nil, &FileError{"scoreboard_file", "examine the scoreboard", "", err}
	}
	if st.Size < recordSize {
		return nil, &FileError{"scoreboard_file", "read the scoreboard", "", sys.EINVAL}
	}
	mem, err := s.Mmap(fd, 0, int(st.Size), prot, sys.MAP_SHARED)
	if err != nil {
		return nil, &FileError{"scoreboard_file", "map the scoreboard", "", err}
	}
	sb := &Scoreboard{mem, int(mem.Load32(headerServers)), int(mem.Load32(headerThreads))}
	// A child may have written anything into it.
	if mem.Load64(headerMagic) != scoreboardMagic || sb.servers < 0 || sb.threads < 0 ||
		sb.servers > maxRecords || sb.threads > maxRecords || int64(ScoreboardSize(sb.servers, sb.threads)) != st.Size {
		s.Munmap(mem)
		return nil, &FileError{"scoreboard_file", "read the scoreboard", "", sys.EINVAL}
	}
	return sb, nil
}

// Parent is the pid of the parent that made the scoreboard.
func (sb *Scoreboard) Parent() int { return int(sb.mem.Load32(headerParent)) }

// Started is when the parent made the scoreboard.
func (sb *Scoreboard) Started() time.Time {
	return time.Unix(0, int64(sb.mem.Load64(headerStarted))).UTC()
}

// Close unmaps the scoreboard.
func (sb *Scoreboard) Close(s sys.Memory) error { return s.Munmap(sb.mem) }

// Generation is counted up by each graceful restart.
func (sb *Scoreboard) Generation() uint32 { return sb.mem.Load32(headerGeneration) }

func (sb *Scoreboard) process(slot int) int {
	if slot < 0 || slot >= sb.servers {
		panic("mpm: no such process slot")
	}
	return recordSize * (1 + slot)
}

func (sb *Scoreboard) worker(slot, thread int) int {
	if slot < 0 || slot >= sb.servers || thread < 0 || thread >= sb.threads {
		panic("mpm: no such worker slot")
	}
	return recordSize * (1 + sb.servers + slot*sb.threads + thread)
}

// zero forgets what workers have counted. No child lives.
func (sb *Scoreboard) zero() {
	for off := recordSize * (1 + sb.servers); off < sb.mem.Len(); off += 8 {
		sb.mem.Store64(off, 0)
	}
}

// claim hands a slot to a child that is about to be spawned with threads
// threads; they count as starting, which keeps the parent from spawning more
// for the same need.
func (sb *Scoreboard) claim(slot, threads int, gen uint32, now uint64) {
	p := sb.process(slot)
	sb.mem.Store32(p+processGeneration, gen)
	sb.mem.Store32(p+processQuiescing, 0)
	sb.mem.Store32(p+processFull, 0)
	sb.mem.Store32(p+processLock, lockIdle)
	sb.mem.Store64(p+processStarted, now)
	for t := range threads {
		sb.mem.Store32(sb.worker(slot, t)+workerStatus, uint32(Starting))
	}
}

// LockState is the word in which a child says what it does with the mutex.
func (sb *Scoreboard) LockState(slot int) LockState {
	return LockState{sb.mem, sb.process(slot) + processLock}
}

// release takes a slot back from a child that is gone.
func (sb *Scoreboard) release(slot int) {
	p := sb.process(slot)
	sb.mem.Store32(p+processPid, 0)
	sb.mem.Store32(p+processQuiescing, 0)
	for t := range sb.threads {
		w := sb.worker(slot, t)
		sb.mem.Store32(w+workerStatus, uint32(Dead))
		// A child killed in the middle of a change left the sequence odd.
		if seq := sb.mem.Load32(w + workerSeq); seq%2 == 1 {
			sb.mem.Store32(w+workerSeq, seq+1)
		}
	}
}

// quiescing is 0, isEnding or wantsRelief.
func (sb *Scoreboard) quiescing(slot int) uint32 {
	return sb.mem.Load32(sb.process(slot) + processQuiescing)
}

// idle counts the threads of a slot that wait for a connection or are about to.
func (sb *Scoreboard) idle(slot int) (n int) {
	p := sb.process(slot)
	if sb.mem.Load32(p+processQuiescing) != 0 || sb.mem.Load32(p+processFull) != 0 {
		return 0
	}
	for t := range sb.threads {
		st := Status(sb.mem.Load32(sb.worker(slot, t) + workerStatus))
		if st == Starting || st == Ready {
			n++
		}
	}
	return n
}

// Worker is one thread's slot, for that thread to write.
type Worker struct {
	mem sys.Mem
	off int
}

// Worker is the slot of a thread of a child.
func (sb *Scoreboard) Worker(slot, thread int) Worker {
	return Worker{sb.mem, sb.worker(slot, thread)}
}

// Set publishes the state.
func (w Worker) Set(st Status) { w.mem.Store32(w.off+workerStatus, uint32(st)) }

// Connected counts a connection.
func (w Worker) Connected() { w.mem.Add64(w.off+workerConns, 1) }

// Served counts a request of n body bytes that was answered at now, in ns
// since the epoch.
func (w Worker) Served(n, now uint64) {
	seq := w.mem.Load32(w.off + workerSeq)
	w.mem.Store32(w.off+workerSeq, seq+1)
	w.mem.Store64(w.off+workerAccesses, w.mem.Load64(w.off+workerAccesses)+1)
	w.mem.Store64(w.off+workerBytes, w.mem.Load64(w.off+workerBytes)+n)
	w.mem.Store64(w.off+workerLast, now)
	w.mem.Store32(w.off+workerSeq, seq+2)
}

// WorkerStats is a consistent copy of a worker's slot.
type WorkerStats struct {
	Slot, Thread    int
	Pid             int
	Status          Status
	Accesses, Bytes uint64
	Conns           uint64
	Last            uint64 // ns since the epoch; 0: no request yet
}

// torn is how often a reader tries to see a worker's counters at rest. A
// writer needs nanoseconds; one that stays odd for so long was killed in
// between, and its counters may be one request apart until the parent has
// reaped it.
const torn = 1000

// Workers copies every slot that is not open, in order, and the open ones whose
// last workers have left counts.
func (sb *Scoreboard) Workers() []WorkerStats {
	var all []WorkerStats
	for slot := range sb.servers {
		p := sb.process(slot)
		pid := int(sb.mem.Load32(p + processPid))
		ending := sb.quiescing(slot) == isEnding || sb.mem.Load32(p+processGeneration) != sb.Generation()
		for t := range sb.threads {
			w := sb.worker(slot, t)
			st := WorkerStats{Slot: slot, Thread: t, Pid: pid}
			st.Status = Status(sb.mem.Load32(w + workerStatus))
			if ending && st.Status != Dead {
				st.Status = Graceful
			}
			for range torn {
				seq := sb.mem.Load32(w + workerSeq)
				st.Accesses = sb.mem.Load64(w + workerAccesses)
				st.Bytes = sb.mem.Load64(w + workerBytes)
				st.Last = sb.mem.Load64(w + workerLast)
				if seq%2 == 0 && sb.mem.Load32(w+workerSeq) == seq {
					break
				}
			}
			st.Conns = sb.mem.Load64(w + workerConns)
			if st.Status != Dead || st.Accesses > 0 || st.Conns > 0 {
				all = append(all, st)
			}
		}
	}
	return all
}
