// @godwit/virtio-scsi
