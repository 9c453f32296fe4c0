import { App } from '@iopa/appbuilder'
import { router } from '@iopa/router'
import { virtualClock } from '@iopa/testing'
import { generate } from 'mqtt-packet'
import { describe, expect, test } from 'vitest'
import { mqtt } from '../../../src/mqtt.ts'
import { type DirectChannel, DirectNetwork } from '../direct-channel.ts'

const five = { protocolVersion: 5 }

/** What a client may send, in every form. */
const SEEDS: readonly Buffer[] = [
  generate(
    {
      cmd: 'publish',
      topic: 'a/b',
      payload: 'hello',
      qos: 1,
      messageId: 5,
      retain: true,
      dup: false,
      properties: { contentType: 'a/b', topicAlias: 1, messageExpiryInterval: 5, userProperties: { a: 'b' } }
    },
    five
  ),
  generate(
    {
      cmd: 'publish',
      topic: 'state',
      payload: '{"x":1}',
      qos: 2,
      messageId: 6,
      retain: false,
      dup: false,
      properties: { responseTopic: 'r', correlationData: Buffer.from('x') }
    },
    five
  ),
  generate(
    {
      cmd: 'publish',
      topic: 'state',
      payload: '',
      qos: 1,
      messageId: 7,
      retain: false,
      dup: false,
      properties: { responseTopic: 'r', userProperties: { method: 'GET' } }
    },
    five
  ),
  generate({ cmd: 'publish', topic: 'a/b', payload: 'x', qos: 0, retain: false, dup: false }, { protocolVersion: 4 }),
  generate(
    {
      cmd: 'subscribe',
      messageId: 7,
      subscriptions: [
        { topic: 'a/+', qos: 1, nl: true, rap: true, rh: 1 },
        { topic: '$share/g/#', qos: 2 },
        { topic: 'state', qos: 2 }
      ],
      properties: { subscriptionIdentifier: 9, userProperties: { k: 'v' } }
    },
    five
  ),
  generate({ cmd: 'unsubscribe', messageId: 8, unsubscriptions: ['a/+', 'state'] }, five),
  generate({ cmd: 'puback', messageId: 1, reasonCode: 0x99, properties: { reasonString: 'no' } }, five),
  generate({ cmd: 'pubrec', messageId: 1 }),
  generate({ cmd: 'pubrel', messageId: 6 }),
  generate({ cmd: 'pubcomp', messageId: 1 }),
  generate({ cmd: 'auth', reasonCode: 0x19, properties: { authenticationMethod: 'm', authenticationData: Buffer.from('d') } }, five),
  generate({ cmd: 'disconnect', reasonCode: 4, properties: { sessionExpiryInterval: 5, reasonString: 'bye' } }, five),
  Buffer.from([0xc0, 0])
]

const CONNECTS: readonly Buffer[] = [3, 4, 5].map(version =>
  generate({
    cmd: 'connect',
    protocolId: version === 3 ? 'MQIsdp' : 'MQTT',
    protocolVersion: version as 3 | 4 | 5,
    clientId: 'mutant',
    clean: false,
    keepalive: 3,
    username: 'u',
    password: Buffer.from('p'),
    will: { topic: 'w', payload: Buffer.from('x'), qos: 1, retain: true, properties: { willDelayInterval: 1 } },
    properties: { sessionExpiryInterval: 5, receiveMaximum: 3, maximumPacketSize: 200, topicAliasMaximum: 2, userProperties: { a: 'b' } }
  })
)

/** A fixed sequence of numbers below 2^31 for a seed. */
function numbers(seed: number): (below: number) => number {
  let state = seed
  return below => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fff_ffff
    return (state >>> 8) % below
  }
}

function mutated(bytes: Buffer, next: (below: number) => number): Buffer {
  let now = Buffer.from(bytes)
  for (let count = 1 + next(4); count > 0; count--) {
    const at = next(Math.max(1, now.length))
    switch (next(6)) {
      case 0:
        now = now.subarray(0, at)
        break
      case 1:
        now = Buffer.concat([now.subarray(0, at), Buffer.from([next(256)]), now.subarray(at)])
        break
      case 2:
        now = Buffer.concat([now, now.subarray(at)])
        break
      case 3:
        now[at] = (now[at] ?? 0) ^ (1 << next(8))
        break
      default:
        now[at] = [0, 1, 0x7f, 0x80, 0xff, next(256)][next(6)] as number
    }
  }
  return now
}

describe('mutated packets', () => {
  test('close their connection at most: no error escapes, other clients are unaffected, nothing is left', { timeout: 1_800_000 }, async () => {
    const rounds = Number(process.env['IOPA_MUTATIONS'] ?? 2000)
    const seed = Number(process.env['IOPA_SEED'] ?? 1)
    const next = numbers(seed)
    const errors: unknown[][] = []
    const note = (...data: unknown[]): number => errors.push(data)
    const clock = virtualClock({ start: 1_700_000_000_000 })
    const network = new DirectNetwork()
    const app = new App({ clock, logger: { error: note, warn: () => undefined, info: () => undefined, debug: () => undefined } })
    const routed = app.use(router())
    routed.get('/state', () => 'x')
    routed.put('/state', context => {
      if (context.body === null) throw new Error('a handler of a test may fail')
    })
    routed.put('/a/:b', () => new Promise<void>(resolve => setImmediate(resolve)))
    app.use(mqtt({ network, maxQueuedBytes: 1_000_000, maxRetained: 1000, maxSessionExpiry: 5 }))
    await app.listen()

    const connected = (clientId: string, clean: boolean): DirectChannel => {
      const channel = network.dial()
      channel.receive(generate({ cmd: 'connect', clientId, protocolVersion: 4, clean, keepalive: 0 }))
      return channel
    }
    const witness = connected('witness', true)
    witness.receive(generate({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'witness', qos: 0 }] }))
    const speaker = connected('speaker', true)
    await clock.settle()
    let heard = 0
    let memory = 0
    for (let round = 1; round <= rounds; round++) {
      const channel = network.dial()
      const first = CONNECTS[next(3)] as Buffer
      if (next(4) === 0) channel.receive(mutated(first, next))
      else {
        channel.receive(first)
        for (let packets = 1 + next(3); packets > 0; packets--) channel.receive(mutated(SEEDS[next(SEEDS.length)] as Buffer, next))
        channel.receive(SEEDS[next(SEEDS.length)] as Buffer)
      }
      channel.destroy()
      if (round % 500 === 0) {
        await clock.advance(7000)
        witness.written = []
        speaker.receive(generate({ cmd: 'publish', topic: 'witness', payload: String(round), qos: 0, retain: false, dup: false }))
        await clock.settle()
        if (Buffer.concat(witness.written).includes(String(round))) heard++
        if (round >= rounds / 4 && memory === 0) memory = process.memoryUsage().heapUsed
      }
    }
    expect(heard).toBe(Math.floor(rounds / 500))
    await clock.advance(20_000)
    expect(errors.filter(([, error]) => !(error instanceof Error) || error.message !== 'a handler of a test may fail')).toEqual([])
    // The witness, the speaker and their sessions.
    expect(app.live).toBeLessThanOrEqual(8)
    expect(process.memoryUsage().heapUsed).toBeLessThan(memory + 200_000_000)
    const closed = app.close({ timeout: 10 })
    await clock.runUntil(closed)
    expect(app.live).toBe(0)
  })
})
