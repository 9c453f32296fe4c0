import { describe, expect, test } from 'vitest'
import { describeWith } from '../../../test/support/foreign-programs.ts'
import { CODE, formatCode } from '../src/codec/codes.ts'
import type { ReceivedMessage } from '../src/codec/message.ts'
import { TYPE } from '../src/codec/message.ts'
import { OPTION } from '../src/codec/option-registry.ts'
import { type EtsiServer, LARGE, startEtsi } from './etsi-app.ts'
import { eventually } from './eventually.ts'
import { lossyRelay } from './lossy-relay.ts'
import { type PrintedMessage, startClient } from './peer-programs.ts'
import { line, RawPeer, rawRequest } from './raw-peer.ts'

const CLIENT = 'coap-client-notls'
const observeFor = (seconds: number, ...args: string[]) => startClient(CLIENT, ['-v', '6', '-B', String(seconds + 5), '-s', String(seconds), ...args])
const observeOf = ({ options }: PrintedMessage): number | undefined => {
  const option = options.find(text => text.startsWith('Observe:'))
  return option === undefined ? undefined : Number(option.slice(8))
}
const rises = (numbers: readonly (number | undefined)[]): boolean =>
  numbers.every((number, i) => number !== undefined && (i === 0 || number > numbers[i - 1]!))

// The contexts that live while nothing is observed: none but what listening itself takes.
const idleContexts = 0

// ETSI CoAP#4, TD_COAP_OBS_*, where libcoap's client can drive the case.
describeWith(CLIENT, 'ETSI OBS', () => {
  test.concurrent('OBS_01: each change is sent in a confirmable message, with the same token and format and a rising number', async () => {
    await using server = await startEtsi()
    const client = observeFor(2, '-T', 'tokn', '-m', 'get', `${server.url}/obs`)
    for (let i = 1; i <= 3; i++) {
      await client.shows(new RegExp(`obs ${i - 1}`))
      server.setObserved(`obs ${i}`)
    }
    await client.shows(/obs 3/)
    const { received } = await client.done
    expect(received.map(({ payload }) => payload)).toEqual(['obs 0', 'obs 1', 'obs 2', 'obs 3'])
    expect(received.map(({ type }) => type)).toEqual(['ACK', 'CON', 'CON', 'CON'])
    expect(new Set(received.map(({ token }) => token)).size).toBe(1)
    expect(received.every(({ options }) => options.includes('Content-Format:text/plain'))).toBe(true)
    expect(rises(received.map(observeOf))).toBe(true)
  })

  test.concurrent('OBS_02: a non-confirmable registration gets non-confirmable notifications', async () => {
    await using server = await startEtsi()
    const client = observeFor(2, '-N', '-m', 'get', `${server.url}/obs-non`)
    for (let i = 1; i <= 3; i++) {
      await client.shows(new RegExp(`obs ${i - 1}`))
      server.setObserved(`obs ${i}`)
    }
    await client.shows(/obs 3/)
    const { received } = await client.done
    expect(received.map(({ payload }) => payload)).toEqual(['obs 0', 'obs 1', 'obs 2', 'obs 3'])
    expect(received.map(({ type }) => type)).toEqual(['NON', 'NON', 'NON', 'NON'])
    expect(rises(received.map(observeOf))).toBe(true)
  })

  test.concurrent('OBS_06: an observer that was killed is removed when the next program in its place rejects a notification', {
    timeout: 20_000
  }, async () => {
    await using server = await startEtsi()
    const relay = await lossyRelay(server.port, () => false)
    const url = `coap://127.0.0.1:${relay.port}`
    const client = observeFor(60, '-T', 'dead', '-m', 'get', `${url}/obs`)
    await client.shows(/obs 0/)
    client.process.kill('SIGKILL')
    await client.done
    expect(server.app.live).toBe(1)
    // The server knows both as one peer, at the port of the relay.
    const next = startClient(CLIENT, ['-v', '6', '-B', '4', '-T', 'next', '-m', 'get', `${url}/separate`])
    await eventually(() => server.calls.get('GET /separate') === 1, 'the second client has asked')
    server.setObserved('obs 1')
    await next.done
    relay.close()
    expect(relay.log.some(({ toServer, message }) => toServer && message.type === TYPE.RST)).toBe(true)
    await eventually(() => server.app.live === idleContexts, 'no observer is left')
    server.setObserved('obs 2')
    expect(server.calls.get('GET /obs')).toBe(2)
  })

  test.concurrent('OBS_07: a DELETE ends the observation with 4.04 and without Observe', async () => {
    await using server = await startEtsi()
    const client = observeFor(3, '-m', 'get', `${server.url}/obs`)
    await client.shows(/obs 0/)
    await startClient(CLIENT, ['-B', '3', '-m', 'delete', `${server.url}/obs`]).done
    await client.shows(/4\.04/)
    const { received } = await client.done
    expect(received.at(-1)).toMatchObject({ code: '4.04' })
    expect(observeOf(received.at(-1)!)).toBeUndefined()
    await eventually(() => server.app.live === idleContexts, 'no observer is left')
  })

  test.concurrent('OBS_08: another Content-Format ends the observation with 4.06 and without Observe', async () => {
    await using server = await startEtsi()
    const client = observeFor(3, '-m', 'get', `${server.url}/obs`)
    await client.shows(/obs 0/)
    await startClient(CLIENT, ['-B', '3', '-m', 'put', '-t', '50', '-e', '{}', `${server.url}/obs`]).done
    await client.shows(/4\.06/)
    const { received } = await client.done
    expect(received.at(-1)).toMatchObject({ code: '4.06' })
    expect(observeOf(received.at(-1)!)).toBeUndefined()
    await eventually(() => server.app.live === idleContexts, 'no observer is left')
  })

  test.concurrent('OBS_09: a PUT of the same format is sent to the observer', async () => {
    await using server = await startEtsi()
    const client = observeFor(2, '-m', 'get', `${server.url}/obs`)
    await client.shows(/obs 0/)
    await startClient(CLIENT, ['-B', '3', '-m', 'put', '-t', '0', '-e', 'put by another', `${server.url}/obs`]).done
    await client.shows(/put by another/)
    const { received } = await client.done
    expect(received.at(-1)).toMatchObject({ code: '2.05', payload: 'put by another' })
  })

  test.concurrent('OBS_10: a plain GET with another token cancels nothing', async () => {
    await using server = await startEtsi()
    const client = observeFor(2, '-m', 'get', `${server.url}/obs`)
    await client.shows(/obs 0/)
    const plain = await startClient(CLIENT, ['-v', '6', '-B', '3', '-T', 'other', '-m', 'get', `${server.url}/obs`]).done
    expect(observeOf(plain.received[0]!)).toBeUndefined()
    server.setObserved('obs 1')
    await client.shows(/obs 1/)
    await client.done
  })

  test.concurrent('OBS_11: on a lossy path never are two confirmable notifications outstanding, and the last state arrives', {
    timeout: 30_000
  }, async () => {
    await using server = await startEtsi({ transmission: { ackTimeout: 150, ackRandomFactor: 1.1, maxRetransmit: 6 } })
    let turn = 0
    const relay = await lossyRelay(server.port, ({ message }) => message.code !== CODE.GET && ++turn % 5 < 2)
    const client = observeFor(7, '-m', 'get', `coap://127.0.0.1:${relay.port}/obs`)
    await client.shows(/obs 0/, 15_000)
    for (let i = 1; i <= 20; i++) {
      server.setObserved(`obs ${i}`)
      await new Promise(resolve => setTimeout(resolve, 100))
    }
    await client.shows(/obs 20/, 15_000)
    client.process.kill()
    await client.done
    relay.close()
    // A later state may take the place of one that was not acknowledged, but only when that would be sent again (RFC 7641 section 4.5.2).
    let last: { id: number; time: number } | undefined
    let notifications = 0
    for (const { toServer, message, dropped, time } of relay.log) {
      if (toServer && message.type === TYPE.ACK && message.id === last?.id && !dropped) last = undefined
      if (toServer || message.type !== TYPE.CON) continue
      if (last !== undefined && last.id !== message.id) expect(time - last.time).toBeGreaterThan(140)
      if (last?.id !== message.id) notifications++
      last = { id: message.id, time }
    }
    expect(notifications).toBeGreaterThan(2)
  })

  for (const [id, path, states] of [
    ['OBS_13', '/obs-large', ['large 1', 'large 2']],
    ['OBS_14', '/obs-pumping', ['pump 1', 'pump 2', 'pump 3']]
  ] as const) {
    test.concurrent(`${id}: notifications of ${path} begin with block 0, and the rest is fetched without Observe`, async () => {
      await using server = await startEtsi()
      const relay = await lossyRelay(server.port, () => false)
      const client = observeFor(3, '-m', 'get', `coap://127.0.0.1:${relay.port}${path}`)
      // libcoap starts the transfer again when the next state comes before the last block of this one.
      const showsAll = async (state: string): Promise<void> => {
        await client.shows(new RegExp(state))
        const isComplete = (): boolean => ((relay.log.findLast(({ toServer }) => !toServer)!.message.options.uint(OPTION.BLOCK2) ?? 0) & 8) === 0
        await eventually(isComplete, 'the last block has come')
      }
      await showsAll('obs 0')
      for (const state of states) {
        server.setObserved(state)
        await showsAll(state)
      }
      await client.done
      relay.close()
      const notifications = relay.log
        .filter(({ toServer, message }) => !toServer && message.options.has(OPTION.OBSERVE))
        .map(({ message }) => message)
      expect(notifications.length).toBe(states.length + 1)
      for (const { options } of notifications) expect([undefined, 0x0e]).toContain(options.uint(OPTION.BLOCK2))
      expect(notifications.some(({ options }) => options.has(OPTION.BLOCK2))).toBe(true)
      const rest = relay.log.filter(
        ({ toServer, message }) => toServer && message.code === CODE.GET && (message.options.uint(OPTION.BLOCK2) ?? 0) > 15
      )
      expect(rest.length).toBeGreaterThan(1)
      expect(rest.every(({ message }) => !message.options.has(OPTION.OBSERVE))).toBe(true)
    })
  }
})

const observe = async (
  server: EtsiServer,
  path = '/obs',
  type: number = TYPE.CON,
  token = 'obs1'
): Promise<{ peer: RawPeer; first: ReceivedMessage }> => {
  const peer = await RawPeer.to(server.port)
  const first = await peer.ask(CODE.GET, { type, token, path, options: [[OPTION.OBSERVE, 0]] })
  expect(first.options.uint(OPTION.OBSERVE)).toBeTypeOf('number')
  return { peer, first }
}

describe('ETSI OBS, by a raw peer', () => {
  test('OBS_05: an observer that is gone gets retransmissions of the newest state, then is removed', async () => {
    await using server = await startEtsi({ transmission: { ackTimeout: 60, ackRandomFactor: 1, maxRetransmit: 3 } })
    const { peer } = await observe(server)
    server.setObserved('obs 1')
    const first = await peer.next()
    server.setObserved('obs 2')
    const later = [await peer.next(), await peer.next(), await peer.next()]
    expect(line(first)).toBe('CON 2.05 {obs1} "obs 1"')
    expect(later.map(line)).toContain('CON 2.05 {obs1} "obs 2"')
    const numbers = [first, ...later].map(message => message.options.uint(OPTION.OBSERVE)!)
    expect(numbers).toEqual([...numbers].sort((a, b) => a - b))
    await eventually(() => server.app.live === idleContexts, 'no observer is left')
    await peer.beforePong()
    server.setObserved('obs 3')
    expect(await peer.beforePong()).toEqual([])
    peer.close()
  })

  for (const [kind, type] of [
    ['confirmable', TYPE.CON],
    ['non-confirmable', TYPE.NON]
  ] as const) {
    test(`OBS_06: a reset of a ${kind} notification removes the observer`, async () => {
      await using server = await startEtsi()
      const { peer } = await observe(server, '/obs', type)
      server.setObserved('obs 1')
      const notification = await peer.next()
      expect(notification.type).toBe(type)
      peer.reset(notification)
      await peer.beforePong()
      expect(server.app.live).toBe(idleContexts)
      server.setObserved('obs 2')
      expect(await peer.beforePong()).toEqual([])
      peer.close()
    })
  }

  test('OBS_12: a GET with Observe 1 and the token of the registration is answered without Observe, and ends it', async () => {
    await using server = await startEtsi()
    const { peer } = await observe(server)
    const answer = await peer.ask(CODE.GET, { token: 'obs1', path: '/obs', options: [[OPTION.OBSERVE, 1]] })
    expect(line(answer)).toBe('ACK 2.05 {obs1} "obs 0"')
    expect(answer.options.has(OPTION.OBSERVE)).toBe(false)
    expect(server.app.live).toBe(idleContexts)
    server.setObserved('obs 1')
    expect(await peer.beforePong()).toEqual([])
    peer.close()
  })

  test('OBS_13: block 1 of a large notification is fetched with the ETag of block 0', async () => {
    await using server = await startEtsi()
    const { peer, first } = await observe(server, '/obs-large')
    expect(first.options.get(OPTION.BLOCK2)).toEqual(Buffer.from([0x0e]))
    server.setObserved('obs 1')
    const notification = await peer.next()
    peer.acknowledge(notification)
    const next = await peer.ask(CODE.GET, { token: 'rest', path: '/obs-large', options: [[OPTION.BLOCK2, 0x1e]] })
    expect(Buffer.concat([notification.payload, next.payload]).toString()).toBe(
      `obs 1\n${LARGE}`.slice(0, notification.payload.length + next.payload.length)
    )
    expect(next.options.get(OPTION.ETAG)).toEqual(notification.options.get(OPTION.ETAG))
    expect(notification.options.get(OPTION.ETAG)).not.toEqual(first.options.get(OPTION.ETAG))
    peer.close()
  })

  test('replaces a registration by one with the same token and path, so that each change comes once', async () => {
    await using server = await startEtsi()
    const { peer } = await observe(server)
    await peer.ask(CODE.GET, { token: 'obs1', path: '/obs', options: [[OPTION.OBSERVE, 0]] })
    server.setObserved('obs 1')
    const notification = await peer.next()
    peer.acknowledge(notification)
    expect(line(notification)).toBe('CON 2.05 {obs1} "obs 1"')
    expect(await peer.beforePong()).toEqual([])
    peer.close()
  })

  test('sends the newest state after an acknowledgement, and skips those in between', async () => {
    await using server = await startEtsi()
    const { peer } = await observe(server)
    for (let i = 1; i <= 50; i++) {
      server.setObserved(`obs ${i}`)
      await new Promise(setImmediate)
    }
    const first = await peer.next()
    expect(await peer.beforePong()).toEqual([])
    peer.acknowledge(first)
    const second = await peer.next()
    expect(line(second)).toBe('CON 2.05 {obs1} "obs 50"')
    peer.acknowledge(second)
    expect(await peer.beforePong()).toEqual([])
    peer.close()
  })

  test('sends a confirmable notification now and then to a non-confirmable observer', async () => {
    await using server = await startEtsi()
    const { peer } = await observe(server, '/obs', TYPE.NON)
    const types = new Set<number>()
    for (let i = 1; i <= 300 && types.size < 2; i++) {
      server.setObserved(`obs ${i}`)
      const notification = await peer.next()
      types.add(notification.type)
      if (notification.type === TYPE.CON) peer.acknowledge(notification)
    }
    expect(types).toEqual(new Set([TYPE.NON, TYPE.CON]))
    peer.close()
  })

  test('answers a plain GET where observing is refused or does not exist', async () => {
    await using server = await startEtsi()
    const peer = await RawPeer.to(server.port)
    const missing = await peer.ask(CODE.GET, { path: '/nowhere', options: [[OPTION.OBSERVE, 0]] })
    expect([formatCode(missing.code), missing.options.has(OPTION.OBSERVE)]).toEqual(['4.04', false])
    peer.send(rawRequest(CODE.PUT, { path: '/test', payload: 'x', options: [[OPTION.OBSERVE, 0]] }))
    expect(formatCode((await peer.next()).code)).toBe('2.04')
    expect(server.app.live).toBe(idleContexts)
    peer.close()
  })
})
