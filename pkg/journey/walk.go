// SPDX-License-Identifier: Apache-2.0

package journey

// TupleAt returns the packet's addresses and ports as they are after hop i, following the translations before it.
func (j *Journey) TupleAt(i int) Tuple {
	t := j.Packet.Tuple
	for k := 0; k <= i && k < len(j.Hops); k++ {
		if j.Hops[k].Tuple != nil {
			t = *j.Hops[k].Tuple
		}
	}
	return t
}

// DropHop returns the index of the hop that ended the journey by a drop or a rejection, or -1.
func (j *Journey) DropHop() int {
	for i := len(j.Hops) - 1; i >= 0; i-- {
		if j.Hops[i].Stage == StageDrop {
			return i
		}
	}
	return -1
}

// IsPolicy says that no rule but a chain's policy decided. A rule that the snapshot does not have has a handle and no number.
func (r *Rule) IsPolicy() bool { return r.Number == 0 && r.Handle == 0 }
