// @godwit/virtio-ccw
