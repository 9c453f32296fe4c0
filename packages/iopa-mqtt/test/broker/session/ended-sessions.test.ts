import { IopaError } from '@iopa/appbuilder'
import { afterEach, describe, expect, test } from 'vitest'
import { HeldStore, restarted } from '../held-store.ts'
import { closeLabs, lab } from '../lab.ts'

afterEach(async () => {
  expect(await closeLabs()).toBe(0)
})

const will = { topic: 'status', payload: Buffer.from('offline'), qos: 1 as const, retain: true }

describe('the will of a clean session', () => {
  test.each([4, 5] as const)('is published after the broker was killed and started again (MQTT version %i)', async version => {
    const store = new HeldStore()
    const net = await lab(undefined, { store })
    const client = await net.client({ version, clientId: 'c', clean: true, will })
    await client.put('status', 'online', { retain: true })
    const next = await restarted(net, store)
    await next.rest(2000)
    const watcher = await next.client()
    await watcher.subscribe('status')
    expect(await watcher.messages()).toEqual(['status offline'])
    // Once: a further restart does not bring it again.
    await watcher.put('status', 'online', { retain: true })
    const third = await restarted(next, next.store)
    await third.rest(2000)
    const later = await third.client()
    await later.subscribe('status')
    expect(await later.messages()).toEqual(['status online'])
  })

  test('is published after the broker was closed and started again', async () => {
    const store = new HeldStore()
    const net = await lab(undefined, { store })
    const client = await net.client({ clientId: 'c', clean: true, will })
    await client.put('status', 'online', { retain: true })
    await net.close()
    const next = await restarted(net, store)
    await next.rest(2000)
    const watcher = await next.client()
    await watcher.subscribe('status')
    expect(await watcher.messages()).toEqual(['status offline'])
  })

  test('is not published after a restart when its client took its leave', async () => {
    const store = new HeldStore()
    const net = await lab(undefined, { store })
    const client = await net.client({ clientId: 'c', clean: true, will })
    await client.put('status', 'online', { retain: true })
    await client.leave()
    await net.rest()
    const next = await restarted(net, store)
    await next.rest(2000)
    const watcher = await next.client()
    await watcher.subscribe('status')
    expect(await watcher.messages()).toEqual(['status online'])
  })

  test('does not let the next connection of its client resume a session', async () => {
    const store = new HeldStore()
    const net = await lab(undefined, { store })
    await net.client({ clientId: 'c', clean: true, will })
    const next = await restarted(net, store)
    const { connack } = await next.connect({ clientId: 'c', clean: false })
    expect(connack.sessionPresent).toBe(false)
    const watcher = await next.client()
    await watcher.subscribe('status')
    expect(await watcher.messages()).toEqual(['status offline'])
  })
})

test('wills that are refused write one line', async () => {
  const net = await lab(app =>
    app.use((context, next) => {
      if (context['mqtt.IsWill']) throw new IopaError(403, 'no', 'Not allowed.')
      return next()
    })
  )
  for (let index = 0; index < 50; index++) await (await net.client({ clientId: `c${index}`, will })).vanish()
  const lines = net.errors.map(data => String(data)).filter(line => line.includes('will'))
  expect(lines).toHaveLength(1)
  expect(lines[0]).toContain('403')
})
