import dgram from 'node:dgram'

export const start = ({ port, host }) =>
  new Promise(resolve => {
    const socket = dgram.createSocket({ type: 'udp4', recvBufferSize: 1 << 20 })
    socket.on('message', (message, peer) => socket.send(message, peer.port, peer.address))
    socket.bind(port, host, resolve)
  })
