// SPDX-License-Identifier: Apache-2.0

package debugpod

import (
	"context"
	"fmt"
	"io"
	"net/http"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/remotecommand"
	"k8s.io/streaming/pkg/httpstream"
)

// Streams are the program's.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer
}

// Attach connects the streams to the program of a pod until it ends, over WebSocket or, where the server is older than 1.30 or a proxy does
// not pass that, SPDY. The end of In closes the program's stdin. The error says that the connection could not be made or was cut.
func (s *Session) Attach(ctx context.Context, name string, st Streams) error {
	o := &corev1.PodAttachOptions{Container: containerName, Stdin: true, Stdout: true, Stderr: true}
	u := s.c.core.Post().Namespace(s.opt.Namespace).Resource("pods").Name(name).SubResource("attach").VersionedParams(o, s.c.params).URL()
	ws, err := remotecommand.NewWebSocketExecutor(s.c.cfg, http.MethodGet, u.String())
	if err != nil {
		return fmt.Errorf("use the kubeconfig: %s", oneLine(err))
	}
	spdy, err := remotecommand.NewSPDYExecutor(s.c.cfg, http.MethodPost, u)
	if err != nil {
		return fmt.Errorf("use the kubeconfig: %s", oneLine(err))
	}
	ex, err := remotecommand.NewFallbackExecutor(ws, spdy, func(err error) bool {
		return httpstream.IsUpgradeFailure(err) || httpstream.IsHTTPSProxyError(err)
	})
	if err != nil {
		return fmt.Errorf("prepare to attach: %s", oneLine(err))
	}
	return ex.StreamWithContext(ctx, remotecommand.StreamOptions{Stdin: st.In, Stdout: st.Out, Stderr: st.Err})
}
