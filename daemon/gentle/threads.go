package gentle

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// ioprio_set(2); the C library has no wrappers.
const (
	ioprioWhoProcess = 1 // one thread
	ioprioClassShift = 13
	ioprioClassIdle  = 3
)

// maxLooks bounds how often the threads are looked at. Each look after the
// first finds only threads that were made during the one before.
const maxLooks = 20

// applyPriorities sets all threads, as the package's documentation argues.
func applyPriorities(r *Report) {
	r.Nice, r.Idle = Nice, true
	for range maxLooks {
		changed, err := lookAtThreads(r)
		if err != nil {
			r.Problems = append(r.Problems, fmt.Errorf("listing the threads: %w", err))
			r.Nice, r.Idle = 0, false
			return
		}
		if !changed {
			applyAutogroup(r)
			return
		}
	}
	r.Problems = append(r.Problems, errors.New("threads are made faster than they can be set; some may keep their priority"))
}

// lookAtThreads sets what is not set yet, and reports whether there was any.
// What cannot be set is reported once and not tried again.
func lookAtThreads(r *Report) (changed bool, err error) {
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return false, err
	}
	r.Threads = len(tasks)
	for _, task := range tasks {
		tid, err := strconv.Atoi(task.Name())
		if err != nil {
			continue // not a thread
		}
		if r.Nice == Nice {
			set, err := setNice(tid)
			changed = changed || set
			if err != nil {
				r.Nice = 0
				r.Problems = append(r.Problems, fmt.Errorf("setting nice %d: %w", Nice, err))
			}
		}
		if r.Idle {
			set, err := setIdle(tid)
			changed = changed || set
			if err != nil {
				r.Idle = false
				r.Problems = append(r.Problems, fmt.Errorf("setting the idle class of disk access: %w", err))
			}
		}
	}
	return changed, nil
}

// setNice raises a thread's nice value to Nice. One that is higher stays: that
// was somebody's wish, and lowering it takes a right.
func setNice(tid int) (set bool, err error) {
	// The system call returns 20 minus the value, to keep clear of errors.
	is, err := unix.Getpriority(unix.PRIO_PROCESS, tid)
	if err == nil && 20-is >= Nice {
		return false, nil
	}
	if err == nil {
		err = unix.Setpriority(unix.PRIO_PROCESS, tid, Nice)
	}
	return gone(err)
}

func setIdle(tid int) (set bool, err error) {
	is, _, errno := unix.Syscall(unix.SYS_IOPRIO_GET, ioprioWhoProcess, uintptr(tid), 0)
	if errno == 0 && is>>ioprioClassShift == ioprioClassIdle {
		return false, nil
	}
	if errno == 0 {
		_, _, errno = unix.Syscall(unix.SYS_IOPRIO_SET, ioprioWhoProcess, uintptr(tid), ioprioClassIdle<<ioprioClassShift)
	}
	if errno != 0 {
		return gone(errno)
	}
	return true, nil
}

// gone passes an error on, unless it says that the thread has ended meanwhile.
// Whatever the answer was, the threads are looked at once more.
func gone(err error) (set bool, _ error) {
	if errors.Is(err, unix.ESRCH) {
		return true, nil
	}
	return err == nil, err
}

// applyAutogroup makes the session nice if it is ours alone.
func applyAutogroup(r *Report) {
	if sid, err := unix.Getsid(0); err != nil || sid != os.Getpid() || r.Nice != Nice {
		return
	}
	err := os.WriteFile("/proc/self/autogroup", []byte(strconv.Itoa(Nice)), 0)
	// A kernel without autogroups lacks the file, or refuses to write it.
	if err != nil && !errors.Is(err, os.ErrNotExist) && !errors.Is(err, unix.EIO) {
		r.Problems = append(r.Problems, fmt.Errorf("making the session nice: %w", err))
	}
}
