import { App, IopaError } from '@iopa/appbuilder'
import type { Storage } from '@iopa/appbuilder/extension'
import { resources, twin } from '@iopa/resource'
import { router } from '@iopa/router'
import { virtualClock } from '@iopa/testing'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { twins } from '../../src/index.ts'
import { memory } from '../../src/storage/memory.ts'
import { versionsFromOne } from '../fixtures/versions-from-one.ts'

const Lamp = z.object({ on: z.boolean(), level: z.number().min(0).max(100), scenes: z.array(z.string()) }).partial()
const lamp = twin('/devices/{id}', { title: 'A lamp', params: z.object({ id: z.string().max(16) }), reported: Lamp, desired: Lamp })

const served = (options: Parameters<typeof twins>[1] = {}) => {
  const devices = versionsFromOne(() => twins(lamp, options))
  const app = new App({ logger: false }).use(router()).use(resources())
  app.serve(lamp, devices)
  const ask = async (method: string, path: string, body?: unknown, { as, headers = {} }: { as?: string; headers?: Record<string, string> } = {}) => {
    const answer = await app.invoke({
      'iopa.Method': method,
      'iopa.Path': path,
      'iopa.Headers': headers,
      ...(as === undefined ? undefined : { 'server.User': { id: as } }),
      ...(body === undefined ? undefined : { 'iopa.Body': body })
    } as never)
    const text = await answer.text()
    return { status: answer.status, etag: answer.headers.get('etag'), body: text === '' ? undefined : JSON.parse(text) }
  }
  return { app, devices, ask }
}

describe('twins', () => {
  test('serve what is reported, desired and still to do', async () => {
    const { app, ask } = served()
    expect(await ask('GET', '/devices/d1/delta')).toEqual({ status: 200, etag: '"0x"', body: {} })
    expect(await ask('GET', '/devices/d1')).toMatchObject({ status: 404, body: { code: 'not-found' } })
    expect(await ask('PUT', '/devices/d1/desired', { on: true, level: 50 })).toEqual({ status: 200, etag: '"1w"', body: { on: true, level: 50 } })
    expect(await ask('GET', '/devices/d1/delta')).toEqual({ status: 200, etag: '"1x"', body: { on: true, level: 50 } })
    const device = { as: 'd1', headers: { 'iopa-seen': '"1x"' } }
    expect(await ask('PUT', '/devices/d1/reported', { on: true, level: 40 }, device)).toMatchObject({ status: 200, etag: '"2r"' })
    expect(await ask('GET', '/devices/d1')).toEqual({
      status: 200,
      etag: '"2t"',
      body: { version: 2, reported: { on: true, level: 40 }, desired: { on: true }, delta: {} }
    })
    expect(await ask('PUT', '/devices/d1/desired', { on: 'yes' })).toMatchObject({ status: 422, body: { errors: [{ pointer: '/on' }] } })
    await app.close()
  })

  test('let only the device report', async () => {
    const { app, ask } = served({ user: context => context.user?.id === 'ann' })
    expect(await ask('PUT', '/devices/d1/reported', { on: true })).toMatchObject({ status: 403, body: { code: 'not-the-device' } })
    expect(await ask('PUT', '/devices/d1/reported', { on: true }, { as: 'd2' })).toMatchObject({ status: 403 })
    expect(await ask('PUT', '/devices/d1/reported', { on: true }, { as: 'd1' })).toMatchObject({ status: 200 })
    expect(await ask('PUT', '/devices/d1/desired', { on: true }, { as: 'd1' })).toMatchObject({ status: 403, body: { code: 'not-permitted' } })
    expect(await ask('PUT', '/devices/d1/desired', { on: true }, { as: 'ann' })).toMatchObject({ status: 200 })
    expect(await ask('DELETE', '/devices/d1', undefined, { as: 'd1' })).toMatchObject({ status: 403 })
    await app.close()
  })

  test('take replicas of other workers, which are no requests of the device', async () => {
    const { app, devices } = served({ user: () => false })
    for (const part of ['reported', 'desired']) {
      const answer = await app.invoke({
        'iopa.Method': 'PUT',
        'iopa.Path': `/devices/d1/${part}`,
        'iopa.Body': { level: 1 },
        'server.IsReplica': true
      } as never)
      expect(answer.status).toBe(200)
    }
    expect(await devices.get('d1')).toMatchObject({ reported: { level: 1 }, desired: { level: 1 }, delta: {} })
    expect(await devices.presence('d1')).toMatchObject({ lastSeen: null })
    const gone = await app.invoke({ 'iopa.Method': 'DELETE', 'iopa.Path': '/devices/d1', 'server.IsReplica': true } as never)
    expect(gone.ok).toBe(true)
    expect(await devices.get('d1')).toBeUndefined()
    await app.close()
  })

  test('refuse a report that has seen something else than a delta', async () => {
    const { app, ask } = served()
    for (const seen of ['"1r"', '12', '', '"zzzzzzzzzzzzzzzzx"', '"-1x"'])
      expect(await ask('PUT', '/devices/d1/reported', {}, { as: 'd1', headers: { 'iopa-seen': seen } })).toMatchObject({
        status: 400,
        body: { code: 'bad-seen' }
      })
    await app.close()
  })

  test('take merge patches and JSON patches', async () => {
    const { app, ask } = served()
    const json = { headers: { 'content-type': 'application/json-patch+json' } }
    expect(await ask('PATCH', '/devices/d1/desired', { on: true, level: 9 })).toMatchObject({
      status: 200,
      etag: '"1w"',
      body: { on: true, level: 9 }
    })
    expect(await ask('PATCH', '/devices/d1/desired', { level: null })).toMatchObject({ etag: '"2w"', body: { on: true } })
    expect(await ask('PATCH', '/devices/d1/desired', [{ op: 'add', path: '/level', value: 5 }], json)).toMatchObject({ body: { on: true, level: 5 } })
    expect(await ask('PATCH', '/devices/d1/desired', { level: 101 })).toMatchObject({ status: 422 })
    // Only the level is new: on is of version 1.
    const device = { as: 'd1', headers: { 'iopa-seen': '1x' } }
    expect(await ask('PATCH', '/devices/d1/reported', { on: false, level: 4 }, device)).toMatchObject({ status: 200, body: { on: false, level: 4 } })
    expect(await ask('GET', '/devices/d1')).toMatchObject({ body: { desired: { level: 5 }, delta: { level: 5 } } })
    expect(await ask('PATCH', '/devices/d1/reported', { on: null }, device)).toMatchObject({ body: { level: 4 } })
    await app.close()
  })

  test('compare preconditions with the version of the part', async () => {
    const { app, ask, devices } = served()
    await devices.desire('d1', { on: true })
    await devices.report('d1', { on: true })
    expect(await ask('GET', '/devices/d1/desired', undefined, { headers: { 'if-none-match': '"1w"' } })).toMatchObject({ status: 304, etag: '"1w"' })
    expect(await ask('PUT', '/devices/d1/desired', { level: 1 }, { headers: { 'if-match': '"2w"' } })).toMatchObject({ status: 412 })
    expect(await ask('PUT', '/devices/d1/desired', { level: 1 }, { headers: { 'if-match': '"1w"' } })).toMatchObject({ status: 200, etag: '"3w"' })
    expect(await ask('DELETE', '/devices/d1', undefined, { headers: { 'if-match': '"2t"' } })).toMatchObject({ status: 412 })
    expect(await ask('DELETE', '/devices/d1', undefined, { headers: { 'if-match': '"3t"' } })).toMatchObject({ status: 204 })
    await app.close()
  })

  test('are read and changed by the program, and tell observers of each part', async () => {
    const { app, devices } = served()
    const stop = new AbortController()
    const heard: Record<string, unknown[]> = {}
    const watching = ['/reported', '/desired', '/delta'].map(async part => {
      const states: unknown[] = []
      heard[part] = states
      for await (const answer of app.observe(`/devices/d1${part}`, { signal: stop.signal })) states.push(await answer.json())
    })
    await devices.desire('d1', { level: 7 })
    const again = (async () => {
      for await (const answer of app.observe('/devices/d1', { signal: stop.signal })) (heard['whole'] ??= []).push(await answer.json())
    })()
    await new Promise(resolve => setTimeout(resolve, 5))
    expect(await devices.report('d1', { level: 7 }, { seen: 1 })).toEqual({
      id: 'd1',
      version: 2,
      reported: { level: 7 },
      desired: { level: 7 },
      delta: {}
    })
    await new Promise(resolve => setTimeout(resolve, 5))
    stop.abort()
    await Promise.allSettled([...watching, again])
    expect(heard['/reported']).toEqual([{}, { level: 7 }])
    expect(heard['/desired']).toEqual([{}, { level: 7 }])
    expect(heard['/delta']).toEqual([{}, { level: 7 }, {}])
    expect(heard['whole']?.at(-1)).toMatchObject({ version: 2, delta: {} })
    await expect(devices.desire('d1', { level: 101 })).rejects.toMatchObject({ code: 'invalid-input' })
    expect(await devices.get('d1')).toMatchObject({ version: 2 })
    await app.close()
  })

  test('never repeat a version after a deletion', async () => {
    const { app, devices, ask } = served()
    await devices.desire('d1', { on: true })
    await devices.desire('d1', { on: null })
    expect((await ask('DELETE', '/devices/d1')).status).toBe(204)
    expect((await ask('DELETE', '/devices/d1')).status).toBe(404)
    expect(await devices.delete('d1')).toBe(false)
    expect(await ask('GET', '/devices/d1/delta')).toEqual({ status: 200, etag: '"3x"', body: {} })
    expect(await devices.desire('d1', { on: true })).toMatchObject({ version: 4 })
    await app.close()
  })

  test('are bounded', async () => {
    const { app, devices, ask } = served({ limits: { documents: 1, documentBytes: 400 } })
    await devices.desire('d1', { on: true })
    expect(await ask('PUT', '/devices/d2/desired', { on: true })).toMatchObject({ status: 507, body: { code: 'storage-full' } })
    expect(await ask('PUT', '/devices/d1/desired', { scenes: Array(99).fill('scene') })).toMatchObject({ status: 413 })
    expect(await devices.get('d1')).toMatchObject({ version: 1, desired: { on: true } })
    await app.close()
  })

  test('refuse schemas that do not take a part', () => {
    const whole = z.object({ on: z.boolean() })
    expect(() => twins(twin('/d/{id}', { reported: whole, desired: whole.partial() }))).toThrow(/\/d\/\{id\}\/reported must take a part/)
    const filled = z.object({ on: z.boolean().default(false) })
    expect(() => twins(twin('/d/{id}', { reported: whole.partial(), desired: filled }))).toThrow(/without defaults/)
  })
})

describe('twins in a storage', () => {
  test('are there after a restart, and what is damaged is named and set aside', async () => {
    const storage = memory()
    const kept = {
      ...storage,
      get: storage.get.bind(storage),
      list: storage.list.bind(storage),
      batch: storage.batch.bind(storage),
      close: async () => {}
    } as Storage
    const clock = virtualClock({ start: 1_000_000 })
    const first = served({ storage: kept, clock })
    await first.devices.desire('d1', { on: true, level: 5 })
    await first.devices.desire('d2', { on: true })
    await first.devices.desire('d3', { on: true })
    await first.devices.delete('d3')
    await first.ask('PATCH', '/devices/d1/reported', { on: true }, { as: 'd1', headers: { 'iopa-seen': '1x' } })
    const before = (await first.ask('GET', '/devices/d1')).body
    await first.app.close()
    await expect(first.devices.get('d1')).rejects.toMatchObject({ code: 'closed' })
    for await (const [key, value] of storage.list()) if (key.endsWith('d2')) await storage.put(key, value.subarray(0, -1))

    const logged: unknown[] = []
    const devices = versionsFromOne(() => twins(lamp, { storage: kept, clock }))
    const app = new App({ logger: { error: (text: unknown) => logged.push(text) } as never }).use(router()).use(resources())
    app.serve(lamp, devices)
    expect(await devices.get('d1')).toEqual({ id: 'd1', ...before })
    expect(await devices.get('d2')).toBeUndefined()
    expect(await devices.presence('d1')).toMatchObject({ connected: false, lastSeen: '1970-01-01T00:16:40.000Z' })
    expect(logged).toEqual([
      'iopa: the twin "d2" of /devices/{id} cannot be read and is set aside: the record is damaged: its checksum does not fit',
      'iopa: 1 twins of /devices/{id} are set aside; setAside() of the twins lists them'
    ])
    expect((await devices.setAside()).map(({ id, reason }) => [id, reason])).toEqual([['d2', 'the record is damaged: its checksum does not fit']])
    // The deleted twin goes on from its version.
    expect(await devices.desire('d3', { on: false })).toMatchObject({ version: 3 })
    await devices.report('d1', { level: 6 }, { seen: 1 })
    expect(await devices.get('d1')).toMatchObject({ desired: { on: true }, version: before.version + 1 })
    await app.close()
  })

  test('stay as they were where the storage refuses a change', async () => {
    const storage = memory()
    const { app, ask, devices } = served({ storage })
    await devices.desire('d1', { on: true })
    const { batch } = storage
    storage.batch = () => Promise.reject(new IopaError(507, 'storage-full', 'The disk is full.'))
    expect(await ask('PATCH', '/devices/d1/desired', { on: false })).toMatchObject({ status: 507 })
    expect(await ask('DELETE', '/devices/d1')).toMatchObject({ status: 507 })
    expect(await devices.get('d1')).toMatchObject({ version: 1, desired: { on: true } })
    storage.batch = batch
    expect(await devices.desire('d1', { on: false })).toMatchObject({ version: 2 })
    await app.close()
  })
})

describe('the presence of a device', () => {
  test('follows its observations, and when it was heard', async () => {
    const clock = virtualClock({ start: Date.parse('2026-01-01T00:00:00Z') })
    const { app, ask, devices } = served({ clock, device: context => context.headers.get('x-device') === context.params.id })
    const presence = async () => (await ask('GET', '/devices/d1/presence')).body
    expect(await presence()).toEqual({ connected: false, connections: 0, lastSeen: null })
    const device = { headers: { 'x-device': 'd1' } }
    await ask('PUT', '/devices/d1/reported', { on: true }, device)
    expect(await presence()).toEqual({ connected: false, connections: 0, lastSeen: '2026-01-01T00:00:00.000Z' })
    const stop = new AbortController()
    const watching = (async () => {
      for await (const _ of app.observe('/devices/d1/delta', { signal: stop.signal, headers: device.headers })) {
        // It stays.
      }
    })()
    await new Promise(resolve => setTimeout(resolve, 2))
    await clock.advance(5000)
    expect(await devices.presence('d1')).toEqual({ connected: true, connections: 1, lastSeen: '2026-01-01T00:00:00.000Z' })
    stop.abort()
    await watching
    expect(await presence()).toEqual({ connected: false, connections: 0, lastSeen: '2026-01-01T00:00:05.000Z' })
    await app.close()
  })
})
