package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/afero"

	"github.com/httpjail/httpjail/confhcl"
	"github.com/httpjail/httpjail/server"
	"github.com/httpjail/httpjail/sys"
	"github.com/httpjail/httpjail/sys/aferofs"
	"github.com/httpjail/httpjail/sys/fake"
)

// Where things are in a simulated machine.
const (
	fakeExe     = "/usr/sbin/httpjail"
	fakeWelcome = "/srv/welcome"
)

// fakeLimits bound what is copied from this host into a simulated machine.
var fakeLimits = aferofs.Limits{Files: 100_000, Bytes: 1 << 30}

// runFake runs the server on a simulated kernel inside this process. The
// configuration, the jail and what the configuration names outside of it are
// copied into the machine; what the server writes stays there.
func runFake(file string) (status int, err error) {
	var (
		cfg     *confhcl.Config
		loadErr error
	)
	image := func(m *fake.Machine) {
		m.MkdirAll("/usr/sbin", 0o755, 0, 0)
		m.MkdirAll("/etc", 0o755, 0, 0)
		m.Install(fakeExe, 0o755, server.Program)
		copyUsers(m)
		if file == "" {
			file, cfg, loadErr = fakeWelcomeSite(m)
			return
		}
		cfg, loadErr = fakeHost(m, file)
	}
	m := fake.Boot(fake.Config{Mode: fake.FreeRunning, Image: image})
	defer m.Close()
	if loadErr != nil {
		return exitFailed, loadErr
	}

	// The real sockets first: a port in use is the most likely failure.
	for _, l := range cfg.Listen {
		address := l.Address
		real, err := net.Listen("tcp", address)
		if err != nil {
			return exitFailed, fmt.Errorf("cannot bridge %s into the simulated machine: %w", address, err)
		}
		port := real.Addr().(*net.TCPAddr).Port
		inside := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(port))
		if addr, err := netip.ParseAddrPort(address); err == nil && addr.Addr().IsLoopback() {
			inside = netip.AddrPortFrom(addr.Addr(), uint16(port))
		}
		if err := m.Bridge(inside, real); err != nil {
			real.Close()
			return exitFailed, err
		}
	}

	pid, err := m.Start(fake.ProcSpec{
		Path: fakeExe, Argv: []string{"httpjail", "run", "-c", file},
		Env:    []string{"HTTPJAIL_BACKEND=fake (a simulated kernel; nothing on this machine is changed)"},
		Stdout: os.Stdout, Stderr: os.Stderr,
	})
	if err != nil {
		return exitFailed, fmt.Errorf("cannot start the server in the simulated machine: %w", err)
	}
	forward := make(chan os.Signal, 16)
	signal.Notify(forward, fakeSignals...)
	go func() {
		for sig := range forward {
			// Their numbers are the simulated kernel's only on Linux.
			_ = m.Kill(pid, linuxSignal(sig))
		}
	}()
	wait, err := m.Wait(pid)
	signal.Stop(forward)
	close(forward)
	if err != nil {
		return exitFailed, err
	}
	if wait.Signaled() {
		return 128 + int(wait.Signal()), nil
	}
	return wait.ExitStatus(), nil
}

func linuxSignal(sig os.Signal) sys.Signal {
	switch sig {
	case os.Interrupt:
		return sys.SIGINT
	case syscall.SIGTERM:
		return sys.SIGTERM
	case syscall.SIGHUP:
		return sys.SIGHUP
	}
	return otherSignal(sig)
}

// copyUsers gives the machine this host's users, or those that a configuration
// is likely to name.
func copyUsers(m *fake.Machine) {
	for _, f := range []struct{ name, fallback string }{
		{"/etc/passwd", "root:x:0:0:root:/root:/bin/sh\nwww-data:x:33:33:www-data:/var/www:/usr/sbin/nologin\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"},
		{"/etc/group", "root:x:0:\nwww-data:x:33:\nnogroup:x:65534:\n"},
	} {
		data, err := os.ReadFile(f.name)
		if err != nil {
			data = []byte(f.fallback)
		}
		m.WriteFile(f.name, data, 0o644, 0, 0)
	}
}

// fakeWelcomeSite makes the machine's welcome site and its configuration.
func fakeWelcomeSite(m *fake.Machine) (file string, cfg *confhcl.Config, err error) {
	m.MkdirAll(fakeWelcome+"/jail/run", 0o755, 0, 0)
	err = eachWelcomeFile(func(name string, data []byte) error {
		m.WriteFile(fakeWelcome+"/jail/htdocs/"+name, data, 0o644, 0, 0)
		return nil
	})
	if err != nil {
		return "", nil, err
	}
	file = fakeWelcome + "/httpjail.hcl"
	text := fmt.Appendf(nil, welcomeConfig, fakeWelcome+"/jail", fmt.Sprintf(welcomeUser, nobodyGroup()))
	m.WriteFile(file, text, 0o644, 0, 0)
	cfg, diags := confhcl.Parse(file, text)
	if diags.HasErrors() {
		return "", nil, diags
	}
	return file, cfg, nil
}

// fakeHost copies what a configuration names from this host.
func fakeHost(m *fake.Machine, file string) (*confhcl.Config, error) {
	name, src, err := readConfig(file)
	if err != nil {
		return nil, err
	}
	cfg, err := parseConfig(name, src)
	if err != nil {
		return nil, err
	}
	m.WriteFile(file, src, 0o644, 0, 0)
	host := afero.NewReadOnlyFs(afero.NewOsFs())

	root := "/"
	if cfg.Jail != nil {
		root = cfg.Jail.Root
		if err := loadDir(m, host, root); err != nil {
			return nil, err
		}
	} else {
		for i := range cfg.Sites {
			if err := loadDir(m, host, cfg.Path(cfg.Sites[i].DocumentRoot.Value)); err != nil {
				return nil, err
			}
		}
	}
	if name := cfg.Path(cfg.TypesConfig.Value); name != "" {
		data, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		m.WriteFile(name, data, 0o644, 0, 0)
	}
	// Directories that the server writes to outside of the jail.
	outside := []string{cfg.Path(cfg.ErrorLog.Value)}
	for i := range cfg.Sites {
		if l := cfg.Sites[i].AccessLog; l != nil {
			outside = append(outside, cfg.Path(l.Path.Value))
		}
	}
	if d := cfg.MPM.CoreDumpDirectory; d.Set {
		outside = append(outside, filepath.Join(cfg.Path(d.Value), "core"))
	}
	for _, p := range outside {
		if p == "" {
			continue
		}
		dir := filepath.Dir(p)
		if _, err := os.Stat(dir); err == nil {
			m.MkdirAll(dir, 0o755, 0, 0)
		}
	}
	return cfg, nil
}

// loadDir copies a directory of this host, where there is one; where not, the
// server will say so.
func loadDir(m *fake.Machine, host afero.Fs, dir string) error {
	if clean := filepath.Clean(dir); clean == "/" || strings.HasPrefix("/proc/", clean+"/") {
		return fmt.Errorf("cannot copy %s into the simulated machine: name a jail or a document_root below it", dir)
	}
	if fi, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) || err == nil && !fi.IsDir() {
		return nil
	}
	loaded, err := aferofs.Load(m, afero.NewBasePathFs(host, dir), dir, fakeLimits)
	if err != nil {
		return fmt.Errorf("cannot copy %s into the simulated machine: %w", dir, err)
	}
	for _, p := range loaded.Skipped {
		fmt.Fprintf(os.Stderr, "httpjail: %s is neither file, directory nor symlink: not in the simulated machine\n", p)
	}
	return nil
}
