// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* All that nettrace runs in the kernel, as one translation unit: this file holds the licence and the reading order. */
#include "kernel.h"
#include "event.h"
#include "config.h"
#include "packet.h"
#include "filter.h"
#include "track.h"
#include "emit.h"
#include "points/device.bpf.h"
#include "points/drop.bpf.h"
#include "points/route.bpf.h"
#include "points/neigh.bpf.h"
#include "points/icmp.bpf.h"
#include "points/socket.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";
