// The other side: clients that write the bytes of their protocol themselves, in a process without probes.
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { connect } from 'node:net'
import { generate, parse } from 'coap-packet'
import mqttPacket from 'mqtt-packet'

const HOST = '127.0.0.1'

const stream = async port => {
  const socket = connect({ port, host: HOST, noDelay: true })
  await once(socket, 'connect')
  return socket
}

/** Resolves with the next thing that `receive` is called with. */
const inbox = () => {
  const arrived = []
  let waiting
  return {
    receive: value => {
      if (waiting === undefined) arrived.push(value)
      else waiting(value)
      waiting = undefined
    },
    next: () =>
      arrived.length > 0
        ? Promise.resolve(arrived.shift())
        : new Promise(resolve => {
            waiting = resolve
          })
  }
}

/** A connection that is kept alive. Each chunk that the server writes counts as one message: answers here are short. */
const textPeer = async port => {
  const socket = await stream(port)
  const { receive, next } = inbox()
  socket.on('data', chunk => receive(chunk.toString()))
  return {
    ask: text => {
      socket.write(text)
      return next()
    },
    next,
    close: () => socket.destroy()
  }
}

const coapPeer = async port => {
  const socket = createSocket('udp4')
  await new Promise(resolve => socket.connect(port, HOST, resolve))
  const { receive, next } = inbox()
  socket.on('message', bytes => {
    const message = parse(bytes)
    if (message.confirmable) socket.send(generate({ ack: true, code: '0.00', messageId: message.messageId }))
    if (message.code !== '0.00') receive(message)
  })
  let messageId = 0
  return {
    get: (options = []) => {
      messageId++
      const token = Buffer.from([messageId >> 8, messageId & 255])
      socket.send(
        generate({ confirmable: true, code: 'GET', messageId, token, options: [...options, { name: 'Uri-Path', value: Buffer.from('state') }] })
      )
      return next()
    },
    next,
    close: () => socket.close()
  }
}

const mqttPeer = async port => {
  const socket = await stream(port)
  const { receive, next } = inbox()
  const parser = mqttPacket.parser({ protocolVersion: 5 })
  parser.on('packet', receive)
  socket.on('data', chunk => parser.parse(chunk))
  let messageId = 0
  const send = packet => {
    messageId++
    socket.write(mqttPacket.generate({ messageId, ...packet }, { protocolVersion: 5 }))
    return next()
  }
  await send({ cmd: 'connect', protocolId: 'MQTT', protocolVersion: 5, clientId: 'trace', clean: true, keepalive: 600 })
  return {
    put: payload => send({ cmd: 'publish', topic: 'state', payload, qos: 1 }),
    subscribe: () => send({ cmd: 'subscribe', subscriptions: [{ topic: 'state', qos: 0 }] }),
    next,
    close: () => socket.destroy()
  }
}

const httpGet = 'GET /state HTTP/1.1\r\nHost: localhost\r\n\r\n'

/** What can be traced: the listeners it needs, and a function that makes a request from the ports and a way to reach the server. */
export const scenarios = {
  http: {
    listeners: ['http'],
    open: async ports => {
      const peer = await textPeer(ports.http)
      return { run: () => peer.ask(httpGet), close: peer.close }
    }
  },
  coap: {
    listeners: ['coap'],
    open: async ports => {
      const peer = await coapPeer(ports.coap)
      return { run: () => peer.get(), close: peer.close }
    }
  },
  mqtt: {
    listeners: ['mqtt'],
    open: async ports => {
      const peer = await mqttPeer(ports.mqtt)
      let turn = 0
      return { run: () => peer.put(turn++ % 2 === 0 ? 'on' : 'off'), close: peer.close }
    }
  },
  notify: {
    listeners: ['http', 'coap', 'mqtt', 'tcp'],
    open: async (ports, server) => {
      const web = await textPeer(ports.http)
      const constrained = await coapPeer(ports.coap)
      const subscriber = await mqttPeer(ports.mqtt)
      const lines = await textPeer(ports.tcp)
      const peers = [web, constrained, subscriber, lines]
      await web.ask('GET /state HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n')
      await constrained.get([{ name: 'Observe', value: Buffer.alloc(0) }])
      await subscriber.subscribe()
      await subscriber.next()
      await lines.ask('{"iopa.Method":"GET","iopa.Path":"/state","iopa.Observe":true,"iopa.Seq":1}\n')
      return {
        run: async () => {
          await server('notify')
          for (const peer of peers) await peer.next()
        },
        close: () => {
          for (const peer of peers) peer.close()
        }
      }
    }
  }
}
