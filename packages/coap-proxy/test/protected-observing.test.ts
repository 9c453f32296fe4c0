import { oscore } from '@iopa/oscore'
import { describe, expect, test } from 'vitest'
import { decode, encode, isMalformed } from '../../iopa-coap/src/codec/datagram-codec.ts'
import { PROXY, SERVER, type Site, type SiteOptions, virtualSite } from './virtual-site.ts'

const OBSERVE = 6
const OSCORE = 9

const contexts = (user: string, number: number) => {
  const masterSecret = Buffer.alloc(16, number)
  const [own, other] = [Buffer.from([0, number]), Buffer.from([1, number])]
  return {
    server: { id: user, masterSecret, senderId: own, recipientId: other },
    client: { id: 'server', masterSecret, senderId: other, recipientId: own, servers: [`coap://${PROXY}`] }
  }
}
const ANN = contexts('ann', 1)
const BOB = contexts('bob', 2)

const protectedSite = (options: SiteOptions = {}): Promise<Site> =>
  virtualSite({ server: { protect: oscore({ contexts: [ANN.server, BOB.server], require: true }) }, ...options })

/** A client of a user observes the state through the proxy. */
const observe = async (site: Site, { client: context }: typeof ANN = ANN, from = '10.0.0.2', path = '/state') => {
  const client = await site.connect(undefined, from, { protect: oscore({ contexts: [context] }) })
  const got: string[] = []
  const leave = new AbortController()
  const request = {
    'iopa.Path': path,
    'iopa.CallCancelled': leave.signal,
    'coap.Options': [
      [39, 'coap'],
      [3, SERVER]
    ] as const
  }
  const done = (async () => {
    for await (const answer of client.observe(request)) got.push(await answer.text())
  })().catch((error: { code?: string }) => void got.push(`failed: ${error.code}`))
  await site.clock.runUntil(() => got.length === 1)
  return { got, done, leave: () => leave.abort(), client }
}

describe('an observation under OSCORE through the proxy', () => {
  test('gets each change, and ends when its client leaves', async () => {
    const site = await protectedSite()
    const ann = await observe(site)
    for (let at = 1; at <= 5; at++) {
      site.setState(`state ${at}`)
      await site.clock.runUntil(() => ann.got.at(-1) === `state ${at}`)
    }
    expect([ann.got, site.observers]).toEqual([['state 0', 'state 1', 'state 2', 'state 3', 'state 4', 'state 5'], 1])
    ann.leave()
    await site.clock.runUntil(ann.done)
    await site.clock.runUntil(() => site.observers === 0)
    await site.close()
  })

  test('is shared with no other, and each is notified once of a change', async () => {
    let notifications = 0
    const site = await protectedSite({
      change: (bytes, to) => {
        const message = decode(bytes)
        if (to === 'client' && !isMalformed(message) && message.options.has(OBSERVE)) notifications++
        return bytes
      }
    })
    const [ann, bob, second] = [await observe(site), await observe(site, BOB, '10.0.0.3'), await observe(site, ANN, '10.0.0.4')]
    const before = notifications
    site.setState('new')
    await site.clock.runUntil(() => [ann, bob, second].every(({ got }) => got.at(-1) === 'new'))
    await site.clock.advance(1000)
    expect([site.observers, notifications - before]).toEqual([3, 3])
    await site.close()
  })

  test('gets bodies of several blocks', async () => {
    const site = await protectedSite()
    const ann = await observe(site)
    for (const length of [1000, 1024, 1025, 5000]) {
      site.setState('y'.repeat(length))
      await site.clock.runUntil(() => ann.got.at(-1)?.length === length)
    }
    await site.close()
  })

  test('goes on after the proxy has started again, when the client registers again', async () => {
    const site = await protectedSite()
    site.setAge(20)
    const ann = await observe(site)
    await site.restartProxy()
    site.setState('while the proxy was away')
    await site.clock.runUntil(() => ann.got.at(-1) === 'while the proxy was away')
    site.setState('later')
    await site.clock.runUntil(() => ann.got.at(-1) === 'later')
    await site.close()
  })

  test('registers again through the proxy, with another Partial IV, in place of the registration before', async () => {
    const site = await protectedSite()
    site.setAge(10)
    const ann = await observe(site)
    const registrations = () =>
      site.handled.filter(({ options }) => options.some(([number, value]) => number === OBSERVE && value.length === 0)).length
    await site.clock.runUntil(() => registrations() === 4)
    await site.clock.advance(1000)
    expect(site.observers).toBe(1)
    site.setState('new')
    await site.clock.runUntil(() => ann.got.at(-1) === 'new')
    await site.close()
  })

  test('of a client that has gone without a word ends with the next notifications', async () => {
    const site = await protectedSite()
    const gone = await observe(site, ANN, '10.0.0.2', '/state')
    site.cut('10.0.0.2')
    for (let at = 0; at < 3; at++) {
      site.setState(`state ${at}`)
      await site.clock.advance(300_000)
    }
    expect(site.observers).toBe(0)
    gone.leave()
    await site.close()
  })

  test('a resource that is not there is not observed, and its error is that of the server', async () => {
    const site = await protectedSite()
    const nothing = await observe(site, ANN, '10.0.0.2', '/none')
    expect([nothing.got, site.observers]).toEqual([['failed: refused'], 0])
    await site.close()
  })

  test('is bounded by observations', async () => {
    const site = await protectedSite({ proxy: { observations: 1 } })
    await observe(site)
    const bob = await observe(site, BOB, '10.0.0.3')
    expect(bob.got).toEqual(['failed: unprotected-answer'])
    await site.close()
  })
})

describe('an outer Observe option that was changed on the way', () => {
  /** Gives the Observe options of one direction other values; undefined removes them. */
  const changing = (to: 'proxy' | 'client', value: (given: number) => number | undefined): SiteOptions => ({
    change: (bytes, direction): Uint8Array => {
      const message = decode(bytes)
      if (direction !== to || isMalformed(message) || !message.options.has(OBSERVE) || !message.options.has(OSCORE)) return bytes
      const options = message.options.copy()
      const given = value(options.uint(OBSERVE)!)
      if (given === undefined) options.delete(OBSERVE)
      else options.set(OBSERVE, given)
      const { type, code, id, token, payload } = message
      return encode({ type, code, id, token, options, payload })
    }
  })

  test.each([
    ['is removed', undefined],
    ['cancels', 1]
  ])('in a request: %s, and the client has its answer, and no notification', async (_, value) => {
    const site = await protectedSite(changing('proxy', () => value))
    const ann = await observe(site)
    expect(ann.got).toEqual(['state 0'])
    site.setState('new')
    await site.clock.advance(5000)
    expect(ann.got).toEqual(['state 0'])
    await site.close()
  })

  test.each([
    ['counts down', (given: number) => 0xffffff - given],
    ['is always the same', () => 7]
  ])('in notifications: %s, which changes nothing, for their order is that of the Partial IVs', async (_, value) => {
    const site = await protectedSite(changing('client', value))
    const ann = await observe(site)
    for (let at = 1; at <= 4; at++) {
      site.setState(`state ${at}`)
      await site.clock.runUntil(() => ann.got.at(-1) === `state ${at}`)
    }
    expect(ann.got).toHaveLength(5)
    await site.close()
  })

  test('in notifications: an old one that comes again, with a newer Observe, is not taken', async () => {
    let first: Uint8Array | undefined
    let replayed = 0
    const site = await protectedSite({
      change: (bytes, to) => {
        const message = decode(bytes)
        if (to === 'proxy' || isMalformed(message) || !message.options.has(OBSERVE)) return bytes
        first ??= message.options.get(OSCORE)!.length > 0 ? bytes : undefined
        if (first === undefined || first === bytes) return bytes
        replayed++
        const old = decode(first)
        if (isMalformed(old)) return bytes
        const { code, token, payload } = old
        const options = old.options.copy().set(OBSERVE, message.options.uint(OBSERVE)!)
        return encode({ type: message.type, code, id: message.id, token, options, payload })
      }
    })
    const ann = await observe(site)
    for (let at = 1; at <= 4; at++) {
      site.setState(`state ${at}`)
      await site.clock.advance(5000)
    }
    expect(replayed).toBeGreaterThan(2)
    expect(ann.got).toEqual(['state 0', 'state 1'])
    await site.close()
  })
})
