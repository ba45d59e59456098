package mpm_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/httpjail/httpjail/mpm"
	"github.com/httpjail/httpjail/sys"
	"github.com/httpjail/httpjail/sys/real"
)

// glibc is the other side: it opens the semaphore with sem_open(3) and does
// what its arguments say.
const glibc = `
#include <fcntl.h>
#include <semaphore.h>
#include <stdio.h>
#include <string.h>
int main(int argc, char **argv) {
	sem_t *s = sem_open(argv[1], 0);
	if (s == SEM_FAILED) { perror("sem_open"); return 1; }
	for (int i = 2; i < argc; i++) {
		int v = -1;
		if (!strcmp(argv[i], "wait") && sem_wait(s)) { perror("sem_wait"); return 1; }
		if (!strcmp(argv[i], "post") && sem_post(s)) { perror("sem_post"); return 1; }
		if (!strcmp(argv[i], "value")) { sem_getvalue(s, &v); printf("%d\n", v); }
		if (!strcmp(argv[i], "ready")) { puts("ready"); fflush(stdout); }
	}
	return 0;
}
`

// TestPosixSemaphoreIsGlibcs shares a named semaphore with a C program, both
// ways: each waits for the other's post.
func TestPosixSemaphoreIsGlibcs(t *testing.T) {
	gcc, err := exec.LookPath("gcc")
	if err != nil {
		t.Skip("needs gcc, to build a program that uses glibc's sem_open")
	}
	dir := t.TempDir()
	src, bin := filepath.Join(dir, "sem.c"), filepath.Join(dir, "sem")
	if err := os.WriteFile(src, []byte(glibc), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(gcc, "-o", bin, src, "-pthread").CombinedOutput(); err != nil {
		t.Fatalf("gcc: %v\n%s", err, out)
	}

	s := real.New()
	name := fmt.Sprintf("httpjail-test-%d", os.Getpid())
	path := "/dev/shm/sem." + name
	fd, err := s.Open(path, sys.O_RDWR|sys.O_CREAT|sys.O_EXCL|sys.O_CLOEXEC, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer os.Remove(path)
	defer s.Close(fd)
	if err := s.Ftruncate(fd, mpm.SemSize); err != nil {
		t.Fatal(err)
	}
	mem, err := s.Mmap(fd, 0, mpm.SemSize, sys.PROT_READ|sys.PROT_WRITE, sys.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Munmap(mem)
	sem := mpm.NewSem(mem)
	sem.Init(3)

	run := func(args ...string) string {
		t.Helper()
		out, err := exec.Command(bin, append([]string{"/" + name}, args...)...).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	if got := run("value", "wait", "value"); got != "3\n2" {
		t.Errorf("glibc sees the values %q, want 3 and 2", got)
	}
	if got := sem.Value(); got != 2 {
		t.Errorf("the value is %d after glibc's sem_wait, want 2", got)
	}
	for range 2 {
		if err := sem.Wait(s); err != nil {
			t.Fatal(err)
		}
	}
	if got := run("value"); got != "0" {
		t.Errorf("glibc sees %q after two of our waits, want 0", got)
	}
	// The value is 0 now: a wait sleeps until the other side posts.
	if err := sem.Wait(s); err != sys.ETIMEDOUT {
		t.Errorf("a wait for what nobody posts: %v, want ETIMEDOUT", err)
	}

	c := exec.Command(bin, "/"+name, "ready", "wait", "wait")
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fscanln(out, new(string)); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := sem.Post(s); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Wait(); err != nil {
		t.Fatalf("glibc's sem_wait did not return after our post: %v", err)
	}

	woken := make(chan error)
	go func() {
		s := real.New()
		for {
			if err := sem.Wait(s); err != sys.ETIMEDOUT {
				woken <- err
				return
			}
		}
	}()
	run("post")
	if err := <-woken; err != nil {
		t.Fatal(err)
	}
	if got := run("value"); got != "0" || mem.Load64(0) != 0 {
		t.Errorf("at the end glibc sees %q and the word is %#x, want 0 and nobody waiting", got, mem.Load64(0))
	}
}
