import net from 'node:net'
import type { Packet } from 'mqtt-packet'
import { afterEach, expect, test, vi } from 'vitest'
import { house } from './fixtures/house.ts'
import { until } from './fixtures/peers.ts'
import { connack, scriptedBroker } from './fixtures/scripted-broker.ts'

afterEach(() => vi.restoreAllMocks())

test('the connection of a bridge sends small packets at once', async () => {
  const set = vi.spyOn(net.Socket.prototype, 'setNoDelay')
  const broker = await scriptedBroker((packet, visit) => {
    if (packet.cmd === 'connect') visit.send(connack() as Packet)
    if (packet.cmd === 'subscribe') visit.send({ cmd: 'suback', messageId: packet.messageId!, granted: packet.subscriptions.map(() => 1) })
  })
  const port = Number(new URL(broker.url).port)
  const undelayed = (): number => new Set(set.mock.contexts.filter(socket => (socket as net.Socket).remotePort === port)).size
  const worker = await house({ broker: broker.url, statePrefix: false }, async () => undefined)
  try {
    await until(() => broker.visits.length === 1)
    expect(undelayed()).toBe(1)
  } finally {
    await worker.close(20)
    await broker.close()
  }
})
