// SPDX-License-Identifier: Apache-2.0

package deploy_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"

	"github.com/nettrace-io/nettrace/deploy"
	"github.com/nettrace-io/nettrace/pkg/tracer"
)

// strict decodes a document of a kind that Kubernetes has; a field that is unknown, or there twice, is an error.
func strict(t *testing.T, name string, doc []byte) runtime.Object {
	t.Helper()
	obj, _, err := serializer.NewCodecFactory(scheme.Scheme, serializer.EnableStrict).UniversalDeserializer().Decode(doc, nil, nil)
	if err != nil {
		t.Errorf("%s: %v", name, err)
		return nil
	}
	return obj
}

// documents splits a YAML file.
func documents(t *testing.T, b []byte) [][]byte {
	t.Helper()
	var out [][]byte
	for r := yaml.NewDocumentDecoder(io.NopCloser(bytes.NewReader(b))); ; {
		doc := make([]byte, 1<<20)
		n, err := r.Read(doc)
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		if s := strings.TrimSpace(string(doc[:n])); s != "" {
			out = append(out, doc[:n])
		}
	}
}

// Every manifest is what Kubernetes' own types say, field by field.
func TestManifestsAreStrictlyValid(t *testing.T) {
	n := 0
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".yaml" || filepath.Base(path) == "kustomization.yaml" || strings.HasPrefix(path, "krew/") {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, doc := range documents(t, b) {
			strict(t, path, doc)
			n++
		}
		return nil
	})
	if err != nil || n < 10 {
		t.Errorf("%d documents, %v", n, err)
	}
}

// A mistake is found, or the test above says nothing.
func TestStrictMeansStrict(t *testing.T) {
	codecs := serializer.NewCodecFactory(scheme.Scheme, serializer.EnableStrict).UniversalDeserializer()
	for _, change := range [][2]string{{"hostPID:", "hostPid:"}, {"drop: [ALL]", "drop: ALL"}, {"apiVersion: v1", "apiVersion: v9"}, {"kind: Pod", "kind: Pot"}, {"dnsPolicy: Default", "dnsPolicy: Default\n  dnsPolicy: None"}} {
		doc := strings.Replace(string(deploy.Pod), change[0], change[1], 1)
		if doc == string(deploy.Pod) {
			t.Fatalf("%q is not in the manifest", change[0])
		}
		if _, _, err := codecs.Decode([]byte(doc), nil, nil); err == nil {
			t.Errorf("with %q for %q the pod is still valid", change[1], change[0])
		}
	}
}

func debugPod(t *testing.T) *corev1.Pod {
	t.Helper()
	pod, ok := strict(t, "pod.yaml", deploy.Pod).(*corev1.Pod)
	if !ok {
		t.Fatal("pod.yaml is no pod")
	}
	return pod
}

// The debug pod sees its node, gets the capabilities that are documented and no other right, and ends by itself.
func TestDebugPod(t *testing.T) {
	pod := debugPod(t)
	s, c := &pod.Spec, &pod.Spec.Containers[0]
	for what, ok := range map[string]bool{
		"the name is generated, so that two users do not collide": pod.Name == "" && pod.GenerateName == "nettrace-",
		"cleanup finds it by its labels":                          reflect.DeepEqual(pod.Labels, map[string]string{"app.kubernetes.io/name": "nettrace", "app.kubernetes.io/managed-by": "nettrace"}),
		"the node is to be filled in":                             s.NodeName == deploy.NodePlaceholder && strings.Count(string(deploy.Pod), "nodeName: "+deploy.NodePlaceholder+"\n") == 1,
		"it is in the node's network and sees its processes":      s.HostNetwork && s.HostPID && !s.HostIPC && s.DNSPolicy == corev1.DNSDefault,
		"no taint keeps it away":                                  reflect.DeepEqual(s.Tolerations, []corev1.Toleration{{Operator: corev1.TolerationOpExists}}),
		"it ends, and is not started again":                       s.RestartPolicy == corev1.RestartPolicyNever && s.ActiveDeadlineSeconds != nil && *s.ActiveDeadlineSeconds <= 3600 && *s.TerminationGracePeriodSeconds == 5,
		"it has no token":                                         s.AutomountServiceAccountToken != nil && !*s.AutomountServiceAccountToken && s.ServiceAccountName == "",
		"it is one container":                                     len(s.Containers) == 1 && len(s.InitContainers) == 0 && c.Name == "nettrace",
		"it cannot take the node's memory":                        !c.Resources.Limits.Memory().IsZero(),
	} {
		if !ok {
			t.Errorf("not so: %s", what)
		}
	}
	confined(t, "debug pod", s, c, "SYS_ADMIN", "NET_ADMIN", "NET_RAW", "SYS_PTRACE", "SYSLOG", "DAC_READ_SEARCH")
}

// confined checks what both kinds of pods share: exactly these capabilities, nothing to write to, read-only mounts of the node.
func confined(t *testing.T, name string, s *corev1.PodSpec, c *corev1.Container, capabilities ...corev1.Capability) {
	t.Helper()
	sc := c.SecurityContext
	if !slices.Equal(sc.Capabilities.Drop, []corev1.Capability{"ALL"}) || !slices.Equal(sc.Capabilities.Add, capabilities) {
		t.Errorf("%s: capabilities %v, want all dropped and %v added", name, sc.Capabilities, capabilities)
	}
	for what, ok := range map[string]bool{
		"it is not privileged":           sc.Privileged == nil,
		"it gains nothing by a program":  sc.AllowPrivilegeEscalation != nil && !*sc.AllowPrivilegeEscalation,
		"its root is read-only":          sc.ReadOnlyRootFilesystem != nil && *sc.ReadOnlyRootFilesystem,
		"it is root":                     sc.RunAsUser != nil && *sc.RunAsUser == 0,
		"no profile forbids bpf":         sc.SeccompProfile.Type == corev1.SeccompProfileTypeUnconfined && sc.AppArmorProfile.Type == corev1.AppArmorProfileTypeUnconfined,
		"every mount has a volume":       len(c.VolumeMounts) == len(s.Volumes),
		"it can be pinned to an archive": c.ImagePullPolicy == corev1.PullIfNotPresent,
	} {
		if !ok {
			t.Errorf("%s: not so: %s", name, what)
		}
	}
	limit, soft := c.Resources.Limits.Memory().Value(), goMemory(t, c)
	if soft < limit*80/100 || soft > limit*90/100 {
		t.Errorf("%s: Go collects garbage from %d bytes on, the limit is %d: want 80 to 90 %%", name, soft, limit)
	}
	for _, m := range c.VolumeMounts {
		if !m.ReadOnly {
			t.Errorf("%s: %s can be written", name, m.MountPath)
		}
	}
}

// goMemory is what GOMEMLIMIT of a container says, in bytes.
func goMemory(t *testing.T, c *corev1.Container) int64 {
	t.Helper()
	for _, e := range c.Env {
		if e.Name != "GOMEMLIMIT" {
			continue
		}
		text, mib := strings.CutSuffix(e.Value, "MiB") // as package runtime writes it, not as Kubernetes does
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || !mib {
			t.Errorf("GOMEMLIMIT is %q", e.Value)
		}
		return n << 20
	}
	return 0
}

// render is 'kubectl kustomize DIR', decoded strictly.
func render(t *testing.T, dir string) []runtime.Object {
	t.Helper()
	m, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), dir)
	if err != nil {
		t.Fatalf("kustomize %s: %v", dir, err)
	}
	var out []runtime.Object
	for _, r := range m.Resources() {
		b, err := r.AsYAML()
		if err != nil {
			t.Fatal(err)
		}
		if obj := strict(t, dir+": "+r.CurId().String(), b); obj != nil {
			out = append(out, obj)
		}
	}
	return out
}

// find is the first object of a type.
func find[T runtime.Object](t *testing.T, all []runtime.Object) T {
	t.Helper()
	for _, o := range all {
		if x, ok := o.(T); ok {
			return x
		}
	}
	var none T
	t.Fatalf("no %T among %d objects", none, len(all))
	return none
}

// The base gives operators what they need in one namespace, and reading elsewhere.
func TestBase(t *testing.T) {
	all := render(t, "base")
	if len(all) != 5 {
		t.Errorf("%d objects", len(all))
	}
	if ns := find[*corev1.Namespace](t, all); ns.Name != "nettrace" || ns.Labels["pod-security.kubernetes.io/enforce"] != "privileged" {
		t.Errorf("namespace %s %v", ns.Name, ns.Labels)
	}
	role := find[*rbacv1.Role](t, all)
	if want := []rbacv1.PolicyRule{
		{APIGroups: []string{""}, Resources: []string{"pods"}, Verbs: []string{"create", "get", "list", "watch", "delete"}},
		{APIGroups: []string{""}, Resources: []string{"pods/log"}, Verbs: []string{"get"}},
		{APIGroups: []string{""}, Resources: []string{"pods/attach"}, Verbs: []string{"create", "get"}},
	}; role.Namespace != "nettrace" || !reflect.DeepEqual(role.Rules, want) {
		t.Errorf("role in %s: %v", role.Namespace, role.Rules)
	}
	onlyVerbs(t, find[*rbacv1.ClusterRole](t, all).Rules, "get", "list")
	if b := find[*rbacv1.RoleBinding](t, all); b.RoleRef.Name != role.Name || b.Namespace != "nettrace" {
		t.Errorf("binding of %s in %s", b.RoleRef.Name, b.Namespace)
	}
}

// onlyVerbs: across the cluster, names are read and nothing else.
func onlyVerbs(t *testing.T, rules []rbacv1.PolicyRule, verbs ...string) {
	t.Helper()
	want := []rbacv1.PolicyRule{
		{APIGroups: []string{""}, Resources: []string{"pods", "services", "nodes", "namespaces"}, Verbs: verbs},
		{APIGroups: []string{"discovery.k8s.io"}, Resources: []string{"endpointslices"}, Verbs: verbs},
		{APIGroups: []string{"networking.k8s.io"}, Resources: []string{"networkpolicies"}, Verbs: verbs},
	}
	if !reflect.DeepEqual(rules, want) {
		t.Errorf("cluster role %v, want %v", rules, want)
	}
}

// Drops run on every node with fewer capabilities, and read names with an account of their own.
func TestDropsOnEveryNode(t *testing.T) {
	all := render(t, "drops")
	ds := find[*appsv1.DaemonSet](t, all)
	s := &ds.Spec.Template.Spec
	if ds.Namespace != "nettrace" || !reflect.DeepEqual(ds.Spec.Selector.MatchLabels, ds.Spec.Template.Labels) || !s.HostNetwork || !s.HostPID {
		t.Errorf("daemon set in %s: %v selects %v", ds.Namespace, ds.Spec.Selector.MatchLabels, ds.Spec.Template.Labels)
	}
	confined(t, "drops", s, &s.Containers[0], "SYS_ADMIN", "SYS_PTRACE", "SYSLOG")
	if e := s.Containers[0].Env; len(e) != 2 || e[0].Name != "NODE_NAME" || e[0].ValueFrom.FieldRef.FieldPath != "spec.nodeName" {
		t.Errorf("the node is not named as Kubernetes names it: %+v", e)
	}
	account := find[*corev1.ServiceAccount](t, all)
	if s.ServiceAccountName != account.Name || account.Namespace != "nettrace" {
		t.Errorf("account %s/%s, the pods have %s", account.Namespace, account.Name, s.ServiceAccountName)
	}
	for _, o := range all {
		switch o := o.(type) {
		case *rbacv1.ClusterRole:
			if o.Name == "nettrace-drops" {
				onlyVerbs(t, o.Rules, "list", "watch")
			}
		case *rbacv1.ClusterRoleBinding:
			if o.Name == "nettrace-drops" && (o.RoleRef.Name != "nettrace-drops" || o.Subjects[0].Name != account.Name || o.Subjects[0].Namespace != "nettrace") {
				t.Errorf("binding %v", o)
			}
		}
	}
}

// The page says of each capability of the pod what nettrace itself says when it is not there.
func TestCapabilitiesAreDocumented(t *testing.T) {
	page, err := os.ReadFile("../docs/running-on-a-node.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]string{}
	for line := range strings.Lines(string(page)) {
		if f := strings.Split(line, "|"); len(f) == 5 {
			rows[strings.Trim(f[1], " `")] = f[3]
		}
	}
	added := debugPod(t).Spec.Containers[0].SecurityContext.Capabilities.Add
	if len(added) != len(tracer.Capabilities) {
		t.Errorf("the pod has %d capabilities, nettrace misses %d", len(added), len(tracer.Capabilities))
	}
	for _, c := range tracer.Capabilities {
		name := strings.TrimPrefix(c.Name, "CAP_")
		if !slices.Contains(added, corev1.Capability(name)) {
			t.Errorf("the pod does not have %s", name)
		}
		if !strings.Contains(rows[name], c.Lost) {
			t.Errorf("the page says of %s %q, nettrace %q", name, rows[name], c.Lost)
		}
	}
}
