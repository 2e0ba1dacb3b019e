// SPDX-License-Identifier: Apache-2.0

package debugpod

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Delete asks for the deletion of all pods of the run at once, without waiting for it to be done; with a grace of 0 the API server forgets them
// immediately. It needs no context of the run, which may be over. What could not be deleted is the error, one sentence a pod.
func (s *Session) Delete(grace time.Duration) error {
	if s.opt.Keep {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience/2)
	defer cancel()
	s.mu.Lock()
	names := append([]string(nil), s.made...)
	for _, n := range names {
		s.deleted[n] = true
	}
	s.mu.Unlock()
	errs := make([]error, len(names))
	var wg sync.WaitGroup
	for i, n := range names {
		wg.Go(func() {
			if err := s.c.remove(ctx, s.opt.Namespace, n, int64(grace.Seconds())); err != nil {
				errs[i] = fmt.Errorf("pod %s is left behind: %w; it ends by itself, and 'kubectl delete pod -n %s %s' removes it", n, Explain(err, "delete pods", s.opt.Namespace), s.opt.Namespace, n)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// Close deletes the pods and waits until they are gone, for as long as the options say. Pods that are kept are named.
func (s *Session) Close() error {
	defer s.stop()
	s.mu.Lock()
	names := append([]string(nil), s.made...)
	s.mu.Unlock()
	if s.opt.Keep {
		for _, n := range names {
			s.opt.Say(fmt.Sprintf("kept: pod %s; 'kubectl logs -n %s %s' shows what it wrote, 'kubectl nettrace cleanup -n %s' removes it", n, s.opt.Namespace, n, s.opt.Namespace))
		}
		return nil
	}
	if err := s.Delete(s.opt.Grace); err != nil {
		return err
	}
	late := time.NewTimer(s.opt.Gone)
	defer late.Stop()
	for {
		left, news := s.left(names)
		if len(left) == 0 {
			return nil
		}
		select {
		case <-news:
		case <-late.C: // a node that does not answer keeps them: the API server forgets them, and the program ends with its stdin
			s.opt.Say(fmt.Sprintf("%d of the pods were not gone after %v; they are deleted without waiting for their nodes", len(left), s.opt.Gone))
			return s.Delete(0)
		}
	}
}

// left are the pods that the watch has seen and not seen go.
func (s *Session) left(names []string) ([]string, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []string
	for _, n := range names {
		if p, known := s.pods[n]; known && p != nil {
			out = append(out, n)
		}
	}
	if s.broken != nil {
		return nil, s.news
	}
	return out, s.news
}
