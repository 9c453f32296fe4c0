import type { Client } from '@iopa/appbuilder'
import { expect, test } from 'vitest'
import { SharedObservations } from '../src/shared-observations.ts'
import { PROXY, SERVER, virtualSite } from './virtual-site.ts'

const PATH = `/hc/coap/${SERVER}/state`

const observe = (client: Client, path = PATH) => {
  const got: string[] = []
  const leave = new AbortController()
  const done = (async () => {
    for await (const answer of client.observe(path, { signal: leave.signal })) got.push(`${answer.status} ${await answer.text()}`)
  })().catch((error: { status?: number }) => void got.push(`${error.status} failed`))
  return { got, done, leave: () => leave.abort() }
}

test('observers of one resource share one observation of the server, which ends with the last of them', async () => {
  const site = await virtualSite()
  const [first, second] = [await site.connect(undefined, '10.0.0.3'), await site.connect(undefined, '10.0.0.4')]
  const [one, two] = [observe(first), observe(second)]
  await site.clock.runUntil(() => one.got.length === 1 && two.got.length === 1)
  expect(site.observers).toBe(1)
  for (let at = 1; at <= 3; at++) {
    site.setState(`state ${at}`)
    await site.clock.runUntil(() => one.got.at(-1) === `200 state ${at}` && two.got.at(-1) === `200 state ${at}`)
  }
  one.leave()
  await site.clock.advance(1000)
  expect(site.observers).toBe(1)
  two.leave()
  await site.clock.runUntil(() => site.observers === 0)
  await site.close()
})

test('an observer with Proxy-Uri hears of changes', async () => {
  const site = await virtualSite()
  const client = await site.connect()
  const got: string[] = []
  const done = (async () => {
    for await (const answer of client.observe({ 'iopa.Path': '/', 'coap.Options': [[35, `coap://${SERVER}/state`]] })) {
      got.push(await answer.text())
      if (got.length === 2) return
    }
  })()
  await site.clock.runUntil(() => got.length === 1)
  site.setState('new')
  await site.clock.runUntil(done)
  expect(got).toEqual(['state 0', 'new'])
  await site.close()
})

test('a later observer gets the newest answer', async () => {
  const site = await virtualSite()
  const one = observe(await site.connect(undefined, '10.0.0.3'))
  await site.clock.runUntil(() => one.got.length === 1)
  site.setState('newer')
  await site.clock.runUntil(() => one.got.length === 2)
  const two = observe(await site.connect(undefined, '10.0.0.4'))
  await site.clock.runUntil(() => two.got.length === 1)
  expect(two.got).toEqual(['200 newer'])
  await site.close()
})

test('a resource that is not there is not observed', async () => {
  const site = await virtualSite()
  const one = observe(await site.connect(), `/hc/coap/${SERVER}/none`)
  await site.clock.runUntil(() => one.got.length === 1)
  expect(one.got[0]).toMatch(/^404/)
  await site.close()
})

test('an observation ends for all with the error that ends it at the server', async () => {
  const site = await virtualSite()
  const one = observe(await site.connect())
  await site.clock.runUntil(() => one.got.length === 1)
  site.remove()
  await site.clock.runUntil(() => one.got.length === 2)
  expect(one.got[1]).toMatch(/^404/)
  expect(site.observers).toBe(0)
  await site.close()
})

test('bounds observations of servers', async () => {
  const site = await virtualSite({ proxy: { observations: 1 } })
  const one = observe(await site.connect(undefined, '10.0.0.3'))
  await site.clock.runUntil(() => one.got.length === 1)
  const two = observe(await site.connect(`coap://${PROXY}`, '10.0.0.4'), `/hc/coap/${SERVER}/tagged`)
  await site.clock.runUntil(() => two.got.length === 1)
  expect(two.got[0]).toMatch(/^503/)
  await site.close()
})

test('shares out its observations: one client leaves room for others', async () => {
  const observations = new SharedObservations(16)
  const endless = () => new Promise<void>(() => undefined)
  const leaves: (() => void)[] = []
  let number = 0
  const refused = async (account: string) => {
    const first = observations.join(`${++number}`, endless, () => undefined, { account, leaving: leave => void leaves.push(leave) })
    return Promise.race([first.then(() => false).catch(() => true), new Promise<boolean>(resolve => setImmediate(() => resolve(false)))])
  }
  const took = async (account: string) => {
    let count = 0
    while (count < 20 && !(await refused(account))) count++
    return count
  }
  expect(await took('flood')).toBe(15)
  expect(await took('honest')).toBe(1)
  for (const leave of leaves) leave()
  expect([observations.size, await took('flood')]).toEqual([0, 15])
})
