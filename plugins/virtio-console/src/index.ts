// @godwit/virtio-console
