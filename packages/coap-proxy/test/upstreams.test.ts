import type { Client } from '@iopa/appbuilder'
import { virtualClock } from '@iopa/testing'
import { describe, expect, test } from 'vitest'
import { Targets, targetOf } from '../src/targets.ts'
import { Upstreams, type UpstreamsInit } from '../src/upstreams.ts'

const clock = virtualClock({ start: 0 })
const idle = async () => undefined as never
const make = (given: Partial<UpstreamsInit> = {}) =>
  new Upstreams({
    client: { connect: async () => ({ close: idle }) as unknown as Client },
    connections: 16,
    idleTimeout: 1000,
    timeout: 500,
    lookup: async () => '10.0.0.9',
    targets: new Targets([]),
    networks: undefined,
    clock,
    listeners: () => [],
    ...given
  })

describe('connections', () => {
  test('are shared out: an account that holds many leaves room for others', async () => {
    const upstreams = make()
    const releases: (() => void)[] = []
    let number = 0
    const hold = (account: string) => upstreams.use(targetOf('coap', `10.0.1.${++number}`)!, account, async (_, hold) => void releases.push(hold()))
    const held = async (account: string) => {
      for (let count = 0; ; count++) {
        try {
          await hold(account)
        } catch (error) {
          expect(error).toMatchObject({ status: 503, code: 'proxy-busy' })
          return count
        }
      }
    }
    expect([await held('flood'), await held('honest')]).toEqual([15, 1])
    for (const release of releases.splice(0)) release()
    expect(await held('flood')).toBe(15)
    for (const release of releases) release()
    await upstreams.close()
  })

  test('to a name that is not found in time fail, and the next request looks it up again', async () => {
    let lookups = 0
    const upstreams = make({ lookup: () => (++lookups === 1 ? new Promise<string>(() => undefined) : Promise.resolve('10.0.0.9')) })
    const target = targetOf('coap', 'sensor.example')!
    const ask = () => upstreams.use(target, 'ann', async () => 'answered')
    const first = ask().catch((error: unknown) => error)
    await clock.advance(600)
    expect(await first).toMatchObject({ status: 504 })
    expect(await ask()).toBe('answered')
    expect(lookups).toBe(2)
    await upstreams.close()
  })
})
