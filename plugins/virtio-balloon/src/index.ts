// @godwit/virtio-balloon
