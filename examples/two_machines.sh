#!/usr/bin/env bash
# Train on two machines that meet over a network, with torchrun; here both are network namespaces of this machine, joined by
# a virtual cable, so that the recipe can be tried anywhere (Linux with iproute2; no root):
#   examples/two_machines.sh etp-tiny --data_dir path/to/ptb-xl --output_dir runs/two-machines
# On two real machines run `machine` below on each, with their own addresses and interface names; --output_dir lies on a
# file system of the first. GPUs: leave ACCELERATE_USE_CPU out and set --nproc_per_node to their number.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-python}

first=10.77.0.1

# machine NAME OWN_ADDRESS INTERFACE OPTIONS…
machine() {
    local name=$1 address=$2 interface=$3
    shift 3
    # Without the interface Gloo and NCCL listen where the host's name leads, often 127.0.0.1; --local_addr does the
    # same for the rendezvous, and is_host says who opens its port, which torchrun would also find out by name.
    ip netns exec "$name" env \
        ACCELERATE_USE_CPU=true GLOO_SOCKET_IFNAME="$interface" NCCL_SOCKET_IFNAME="$interface" \
        "$python" -m torch.distributed.run --nnodes 2 --nproc_per_node 1 --local_addr "$address" \
        --rdzv_backend c10d --rdzv_endpoint "$first:29400" --rdzv_id etp \
        --rdzv_conf "is_host=$([ "$address" = "$first" ] && echo 1 || echo 0)" \
        train.py "$@"
}

if [ -z "${INSIDE_NAMESPACE:-}" ]; then
    # Own user, network and mount namespaces: nothing of the host is touched, and nothing is left when this ends.
    INSIDE_NAMESPACE=1 exec unshare --map-root-user --net --mount "$0" "$@"
fi
mount -t tmpfs tmpfs /run # where `ip netns` keeps its names
for side in 1 2; do
    ip netns add "machine$side"
done
ip link add cable1 netns machine1 type veth peer name cable2 netns machine2
for side in 1 2; do
    ip -n "machine$side" address add "10.77.0.$side/24" dev "cable$side"
    ip -n "machine$side" link set "cable$side" up
    ip -n "machine$side" link set lo up
done

machine machine2 10.77.0.2 cable2 "$@" &
second=$!
machine machine1 "$first" cable1 "$@"
wait "$second"
