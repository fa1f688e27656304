// @godwit/virtio-rng
