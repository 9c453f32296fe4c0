import dgram from 'node:dgram'
import { EventEmitter, once } from 'node:events'
import { readdirSync } from 'node:fs'
import net from 'node:net'
import { systemClock } from '@iopa/transport'
import { datagramNetwork, socketNetwork } from '@iopa/transport/node'
import { describe, expect, test } from 'vitest'
import { SocketChannel } from '../src/node/socket-channel.ts'

const descriptors = (): number => readdirSync('/proc/self/fd').length
const soon = (): Promise<void> => new Promise(resolve => setTimeout(resolve, 20))

describe('socketNetwork', () => {
  test('reports once that a channel is closed, also if it was closed before it was opened', async () => {
    const network = socketNetwork()
    for (const open of ['before', 'after'] as const) {
      let closes = 0
      const receiver = { data: () => undefined, end: () => undefined, drain: () => undefined, close: () => void closes++ }
      const server = await network.listen({ host: '127.0.0.1', port: 0 }, channel => {
        if (open === 'before') channel.open(receiver)
        channel.destroy()
        if (open === 'after') channel.open(receiver)
      })
      const socket = net.connect(server.port, '127.0.0.1')
      await once(socket, 'close')
      await soon()
      expect(closes).toBe(1)
      await server.close()
    }
  })

  test('resets an aborted connection whose end ends its data, but not after all data was sent', async () => {
    const network = socketNetwork()
    const receiver = { data: () => undefined, end: () => undefined, drain: () => undefined, close: () => undefined }
    for (const [ended, ending] of [
      [false, 'ECONNRESET'],
      [true, 'end']
    ] as const) {
      const server = await network.listen({ host: '127.0.0.1', port: 0 }, channel => {
        channel.open(receiver)
        channel.resetUnlessEnded?.()
        channel.write('some of it')
        if (ended) channel.end()
        setTimeout(() => channel.destroy(), 20)
      })
      const socket = net.connect({ port: server.port, host: '127.0.0.1', allowHalfOpen: true }).resume()
      let seen = ''
      socket.on('error', (error: NodeJS.ErrnoException) => {
        seen ||= error.code ?? ''
      })
      socket.on('end', () => {
        seen ||= 'end'
        socket.end()
      })
      await new Promise(resolve => socket.on('close', resolve))
      expect(seen).toBe(ending)
      await server.close()
    }
  })

  test('resets such a connection at once, even if its peer has not read most of it', () => {
    const calls = (state: object): string[] => {
      const made: string[] = []
      const call = (name: string) => () => made.push(name)
      const socket = { on: () => undefined, resetAndDestroy: call('reset'), destroy: call('destroy'), writableFinished: false, ...state }
      const channel = new SocketChannel(socket as never)
      channel.resetUnlessEnded()
      channel.destroy()
      return made
    }
    expect(calls({})).toEqual(['reset', 'destroy'])
    expect(calls({ writableFinished: true })).toEqual(['destroy'])
    expect(calls({ encrypted: true })).toEqual(['destroy'])
  })

  test.skipIf(process.platform !== 'linux')('keeps no descriptor of a socket that could not be bound', async () => {
    const taken = dgram.createSocket('udp4').bind(0, '127.0.0.1')
    await once(taken, 'listening')
    const before = descriptors()
    const network = datagramNetwork()
    for (let count = 0; count < 10; count++) {
      await expect(network.bind({ host: '127.0.0.1', port: taken.address().port })).rejects.toMatchObject({ code: 'bind-failed' })
    }
    await soon()
    expect(descriptors()).toBe(before)
    taken.close()
  })

  test('sends multicast datagrams through as many routers as the address says', async () => {
    const set: number[] = []
    const createSocket = (options: dgram.SocketOptions) => {
      const socket = dgram.createSocket(options)
      const { setMulticastTTL } = socket
      socket.setMulticastTTL = hops => (set.push(hops), setMulticastTTL.call(socket, hops))
      return socket
    }
    const network = datagramNetwork({ createSocket: options => createSocket(options as dgram.SocketOptions) })
    for (const multicastHops of [undefined, 4]) await (await network.bind({ host: '127.0.0.1', port: 0, multicastHops })).close()
    expect(set).toEqual([4])
  })

  test('enables TCP keep-alive, so that vanished peers are detected', async () => {
    const asked: object[] = []
    const server = Object.assign(new EventEmitter(), {
      listen: (_: object, listening: () => void) => listening(),
      address: () => ({ address: '127.0.0.1', port: 1 })
    })
    const fake = { createServer: (options: never) => (asked.push(options), server), connect: () => undefined }
    await socketNetwork({ net: fake }).listen({ host: '127.0.0.1', port: 0 }, () => undefined)
    expect(asked[0]).toMatchObject({ keepAlive: true, keepAliveInitialDelay: 60_000 })
  })
})

describe('systemClock', () => {
  test('treats a time beyond the range of timers as long, not as zero', async () => {
    let ran = 0
    const handles = [Number.POSITIVE_INFINITY, 2 ** 31, 2 ** 40].map(time => systemClock.setTimeout(() => void ran++, time))
    await soon()
    for (const handle of handles) systemClock.clearTimeout(handle)
    expect(ran).toBe(0)
  })
})
