// The machines of QEMU that our guests run in. `GUEST` stands for the guest's file.

/** s390x with a virtio-rng behind channel I/O. */
export const s390Options: readonly string[] = [
  ..."-M s390-ccw-virtio-7.2,accel=tcg -cpu qemu -m 16 -nodefaults -display none".split(" "),
  ..."-chardev file,id=ser,path=SERIAL -device sclpconsole,chardev=ser".split(" "),
  ..."-object rng-builtin,id=r -device virtio-rng-ccw,id=rng,rng=r,devno=fe.0.0003".split(" "),
  ..."-netdev hubport,id=n0,hubid=0 -device virtio-net-ccw,id=net,netdev=n0,mac=52:54:00:12:34:58,devno=fe.0.0001".split(
    " ",
  ),
  ..."-kernel GUEST".split(" "),
];

const hotPlugged = "virtio-net-pci,netdev=n1,id=hp0,mac=52:54:00:12:34:60,addr=2,romfile=";

/** pSeries with one network card, and a place for another. */
export const pseriesOptions: readonly string[] = [
  ..."-M pseries-7.2,accel=tcg,cap-cfpc=broken,cap-sbbc=broken,cap-ibs=broken,cap-ccf-assist=off".split(" "),
  ..."-cpu power9_v2.0 -m 256 -nodefaults -display none".split(" "),
  ..."-chardev file,id=ser,path=SERIAL -device spapr-vty,chardev=ser,reg=0x30000000".split(" "),
  ..."-netdev hubport,id=n0,hubid=0 -netdev hubport,id=n1,hubid=1".split(" "),
  ..."-device virtio-net-pci,netdev=n0,id=cold0,mac=52:54:00:12:34:59,addr=1,romfile= -bios GUEST".split(" "),
];

/** What is plugged in while the guest runs: as QMP wants it, and as a destination's option. */
export const hotPlug = {
  arguments: { driver: "virtio-net-pci", id: "hp0", netdev: "n1", mac: "52:54:00:12:34:60", addr: "2", romfile: "" },
  option: ["-device", hotPlugged],
} as const;
