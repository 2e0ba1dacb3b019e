// SPDX-License-Identifier: Apache-2.0

package tracer

import (
	"fmt"
	"strings"

	"github.com/cilium/ebpf/btf"
)

// Signatures lists what the running kernel's BTF says of every point: a line each, "tracepoint NAME(TYPES)" or "function NAME(TYPES)"; one
// that BTF does not know is "-". The programs depend on the order and the types of these arguments.
func Signatures() ([]string, error) {
	types := btf.NewCache()
	kernel, err := types.Kernel()
	if err != nil {
		return nil, fmt.Errorf("read the kernel's BTF: %w", err)
	}
	var out []string
	for _, p := range Points {
		out = append(out, "tracepoint "+p.Name+tracepointSignature(kernel, p.Name))
	}
	for i := range Functions {
		f := &Functions[i]
		var fn *btf.Func
		sig := " -"
		if kernel.TypeByName(f.Name, &fn) == nil {
			sig = parameters(fn.Type, 0)
		} else if f.Module != "" {
			if spec, err := types.Module(f.Module); err == nil && spec.TypeByName(f.Name, &fn) == nil {
				sig = parameters(fn.Type, 0)
			}
		}
		out = append(out, "function "+f.Name+sig)
	}
	return out, nil
}

func tracepointSignature(kernel *btf.Spec, name string) string {
	var def *btf.Typedef
	if kernel.TypeByName("btf_trace_"+name, &def) != nil {
		return " -"
	}
	if ptr, ok := def.Type.(*btf.Pointer); ok {
		return parameters(ptr.Target, 1)
	}
	return " -"
}

// parameters prints a prototype's arguments, without the first skip ones.
func parameters(t btf.Type, skip int) string {
	proto, ok := t.(*btf.FuncProto)
	if !ok {
		return " -"
	}
	var names []string
	for i, p := range proto.Params {
		if i >= skip {
			names = append(names, typeName(p.Type))
		}
	}
	return "(" + strings.Join(names, ", ") + ")"
}

func typeName(t btf.Type) string {
	switch v := t.(type) {
	case *btf.Pointer:
		return typeName(v.Target) + "*"
	case *btf.Const:
		return typeName(v.Type)
	case *btf.Volatile:
		return typeName(v.Type)
	case *btf.TypeTag:
		return typeName(v.Type)
	case *btf.Void:
		return "void"
	case *btf.Struct:
		return "struct " + v.Name
	case *btf.Fwd:
		return "struct " + v.Name
	case *btf.Union:
		return "union " + v.Name
	case *btf.Enum:
		return "enum " + v.Name
	case *btf.FuncProto:
		return "function"
	}
	if n := t.TypeName(); n != "" {
		return n
	}
	return "..."
}
