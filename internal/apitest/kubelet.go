// SPDX-License-Identifier: Apache-2.0

package apitest

import (
	"errors"
	"io"
	"os/exec"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"golang.org/x/sys/unix"
)

// Kubelet runs the pods of a Server's nodes as processes of this machine: their command line and environment, with stdin and output connected
// to whoever attaches. It keeps to restartPolicy Never, activeDeadlineSeconds, stdinOnce and grace periods.
type Kubelet struct {
	s *Server
	// command makes the process of a pod
	command func(*corev1.Pod) *exec.Cmd

	mu     sync.Mutex
	all    map[string]*process
	refuse func(*corev1.Pod) *corev1.PodStatus
	spdy   bool
	wg     sync.WaitGroup

	// ending makes a program's end and the status that tells it one step for who deletes the pod: a kubelet never lets go of a pod before.
	ending sync.Mutex
}

// process is the program of one pod.
type process struct {
	cmd   *exec.Cmd
	stdin io.WriteCloser
	done  chan struct{} // the program has ended, and its output is in the log

	mu       sync.Mutex
	log      []byte
	news     chan struct{} // closed when the log grows
	attached map[*attachment]bool
	reason   string // why it was taken away, in the pod's status
	message  string
	told     func() // somebody has attached
}

// RunKubelet makes every pod that is created run a process.
func (s *Server) RunKubelet(t tester, command func(*corev1.Pod) *exec.Cmd) *Kubelet {
	k := &Kubelet{s: s, command: command, all: map[string]*process{}}
	s.mu.Lock()
	s.kubelet = k
	s.mu.Unlock()
	t.Cleanup(k.stop)
	return k
}

func (k *Kubelet) stop() {
	k.mu.Lock()
	for _, p := range k.all {
		p.kill()
	}
	k.mu.Unlock()
	k.wg.Wait()
}

// Refuse gives pods a status instead of running them, as when an image cannot be pulled; nil for a pod that runs.
func (k *Kubelet) Refuse(f func(*corev1.Pod) *corev1.PodStatus) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.refuse = f
}

// OnlySPDY makes attaching work as on API servers before 1.30, which do not know WebSockets that can close stdin.
func (k *Kubelet) OnlySPDY() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.spdy = true
}

// Evict takes all pods away from their node, as a kubelet does that runs out of memory.
func (k *Kubelet) Evict(message string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, p := range k.all {
		p.take("Evicted", message)
	}
}

// Cut cuts the connections of everybody who is attached, and returns how many there were.
func (k *Kubelet) Cut() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	n := 0
	for _, p := range k.all {
		p.mu.Lock()
		for a := range p.attached {
			a.cut()
			n++
		}
		p.mu.Unlock()
	}
	return n
}

// Attached is how many are attached to a program.
func (k *Kubelet) Attached() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	n := 0
	for _, p := range k.all {
		p.mu.Lock()
		n += len(p.attached)
		p.mu.Unlock()
	}
	return n
}

// PIDs are those of the programs that run.
func (k *Kubelet) PIDs() []int {
	k.mu.Lock()
	defer k.mu.Unlock()
	var out []int
	for _, p := range k.all {
		select {
		case <-p.done:
		default:
			out = append(out, p.cmd.Process.Pid)
		}
	}
	return out
}

func id(pod *corev1.Pod) string { return pod.Namespace + "/" + pod.Name }

func (k *Kubelet) find(namespace, name string) *process {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.all[namespace+"/"+name]
}

// runs reports whether a pod's program has not ended.
func (k *Kubelet) runs(pod *corev1.Pod) bool {
	p := k.find(pod.Namespace, pod.Name)
	if p == nil {
		return false
	}
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// take starts a new pod.
func (k *Kubelet) take(pod *corev1.Pod) {
	k.mu.Lock()
	refuse := k.refuse
	k.mu.Unlock()
	if refuse != nil {
		if st := refuse(pod); st != nil {
			k.status(pod, *st)
			return
		}
	}
	p := &process{cmd: k.command(pod), done: make(chan struct{}), news: make(chan struct{}), attached: map[*attachment]bool{}, told: k.s.wake}
	out, errs, err := p.start()
	if err != nil {
		k.status(pod, ended(pod, corev1.ContainerStateTerminated{ExitCode: 128, Reason: "StartError", Message: err.Error()}, "", ""))
		return
	}
	k.mu.Lock()
	k.all[id(pod)] = p
	k.mu.Unlock()
	now := metav1.Now()
	k.status(pod, corev1.PodStatus{Phase: corev1.PodRunning, StartTime: &now, ContainerStatuses: []corev1.ContainerStatus{{Name: pod.Spec.Containers[0].Name, Image: pod.Spec.Containers[0].Image,
		Ready: true, State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: now}}}}})
	k.wg.Go(func() { k.follow(pod, p, out, errs) })
}

// kill ends the whole container: the program and what it started.
func (p *process) kill() { _ = unix.Kill(-p.cmd.Process.Pid, unix.SIGKILL) }

func (p *process) start() (out, errs io.Reader, err error) {
	p.cmd.SysProcAttr = &unix.SysProcAttr{Setpgid: true}
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		return nil, nil, err
	}
	if out, err = p.cmd.StdoutPipe(); err != nil {
		return nil, nil, err
	}
	if errs, err = p.cmd.StderrPipe(); err != nil {
		return nil, nil, err
	}
	return out, errs, p.cmd.Start()
}

// follow waits for a pod's end, and says how it came.
func (k *Kubelet) follow(pod *corev1.Pod, p *process, out, errs io.Reader) {
	if d := pod.Spec.ActiveDeadlineSeconds; d != nil {
		timer := time.AfterFunc(time.Duration(*d)*time.Second, func() { p.take("DeadlineExceeded", "Pod was active on the node longer than the specified deadline") })
		defer timer.Stop()
	}
	var copies sync.WaitGroup
	copies.Go(func() { p.copy(out, false) })
	copies.Go(func() { p.copy(errs, true) })
	copies.Wait()
	err := p.cmd.Wait()
	k.ending.Lock()
	defer k.ending.Unlock()
	p.mu.Lock()
	st := corev1.ContainerStateTerminated{ExitCode: exitCode(err), Reason: "Completed"}
	reason, message := p.reason, p.message
	if st.ExitCode != 0 {
		st.Reason = "Error"
	}
	close(p.done)
	close(p.news)
	p.news = make(chan struct{})
	p.mu.Unlock()
	if now := k.s.pod(pod.Namespace, pod.Name); now != nil && now.DeletionTimestamp != nil {
		k.status(now, ended(pod, st, reason, message))
		now.Status = ended(pod, st, reason, message)
		k.s.Delete(now)
		return
	}
	k.status(pod, ended(pod, st, reason, message))
}

func exitCode(err error) int32 {
	var ee *exec.ExitError
	if !errors.As(err, &ee) {
		return 0
	}
	if ws, ok := ee.Sys().(interface{ Signal() unix.Signal }); ok && ee.ExitCode() < 0 {
		return 128 + int32(ws.Signal())
	}
	if ee.ExitCode() < 0 {
		return 137
	}
	return int32(ee.ExitCode())
}

func ended(pod *corev1.Pod, st corev1.ContainerStateTerminated, reason, message string) corev1.PodStatus {
	phase := corev1.PodSucceeded
	if st.ExitCode != 0 || reason != "" {
		phase = corev1.PodFailed
	}
	return corev1.PodStatus{Phase: phase, Reason: reason, Message: message,
		ContainerStatuses: []corev1.ContainerStatus{{Name: pod.Spec.Containers[0].Name, Image: pod.Spec.Containers[0].Image, State: corev1.ContainerState{Terminated: &st}}}}
}

// status writes a pod's status, unless it is gone.
func (k *Kubelet) status(pod *corev1.Pod, st corev1.PodStatus) {
	now := k.s.pod(pod.Namespace, pod.Name)
	if now == nil {
		return
	}
	now.Status = st
	k.s.Put(now)
}

// take ends the program for a reason that stands in the pod's status.
func (p *process) take(reason, message string) {
	p.mu.Lock()
	p.reason, p.message = reason, message
	p.mu.Unlock()
	p.kill()
}

// end ends the program of a pod that is deleted.
func (k *Kubelet) end(pod *corev1.Pod, grace time.Duration) {
	p := k.find(pod.Namespace, pod.Name)
	if p == nil {
		return
	}
	if grace == 0 {
		p.kill()
		return
	}
	_ = p.cmd.Process.Signal(unix.SIGTERM)
	k.wg.Go(func() {
		select {
		case <-p.done:
		case <-time.After(grace):
			p.kill()
		}
	})
}
