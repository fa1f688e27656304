import { catalogueWith } from "godwit/catalogue";

const { knows } = catalogueWith();
console.log(knows("0000:00:02.0/virtio-net")); // @godwit/virtio-net
