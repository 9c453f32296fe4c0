import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { App } from '@iopa/appbuilder'
import { resources, twin } from '@iopa/resource'
import { router } from '@iopa/router'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { disk } from '../../src/disk.ts'
import { twins } from '../../src/index.ts'

const Switch = z.strictObject({ on: z.boolean(), name: z.string() }).partial()
const Dimmer = z.strictObject({ level: z.number(), name: z.string() }).partial()
const first = twin('/lamps/{id}', { reported: Switch, desired: Switch })
const dimmed = (old: unknown): unknown => {
  const { on, ...rest } = old as z.infer<typeof Switch>
  if (rest.name === 'broken') throw new Error('a broken lamp has no level')
  return on === undefined ? rest : { ...rest, level: on ? 100 : 0 }
}
const migrate = { reported: dimmed, desired: dimmed }
const second = twin('/lamps/{id}', { reported: Dimmer, desired: Dimmer, version: 2, migrate })

let folder = ''
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'iopa-twins-'))
})
afterEach(() => rm(folder, { recursive: true }))

/** The same twins in a folder with another contract. */
const opened = (contract: typeof second) => {
  const lines: string[] = []
  const devices = twins(contract, { storage: disk(folder), device: () => true })
  const app = new App({ logger: { error: (text: unknown) => lines.push(String(text)), warn: () => undefined } as never })
    .use(router())
    .use(resources())
  app.serve(contract, devices)
  return { app, devices, lines }
}

describe('twins of an earlier version', () => {
  test('are migrated when they are read, and keep the versions of wishes that stay as they are', async () => {
    const before = twins(first, { storage: disk(folder) })
    await before.desire('a', { on: true, name: 'hall' })
    const { version } = await before.report('a', { on: false, name: 'hall' })
    await before.close()

    const { app, devices, lines } = opened(second)
    const now = await devices.get('a')
    expect(now).toMatchObject({ reported: { level: 0, name: 'hall' }, desired: { level: 100, name: 'hall' }, delta: { level: 100 } })
    expect(now?.version).toBeGreaterThan(version)
    // The device had seen all wishes of before: the name has been the same since, the level is a new wish.
    await devices.report('a', { level: 50, name: 'attic' }, { seen: version })
    expect(await devices.get('a')).toMatchObject({ desired: { level: 100 }, delta: { level: 100 } })
    expect((await app.invoke({ 'iopa.Path': '/lamps/a/desired' } as never)).headers.get('state-version')).toBe('2')
    expect(lines).toEqual([])
    await app.close()

    // They have been written in the new shape: nothing is left to migrate.
    const last = opened(twin('/lamps/{id}', { reported: Dimmer, desired: Dimmer, version: 2 }))
    expect(await last.devices.get('a')).toMatchObject({ reported: { level: 50, name: 'attic' }, desired: { level: 100 } })
    await last.app.close()
  })

  test('are written when they are migrated, so that a version is given once', async () => {
    const before = twins(first, { storage: disk(folder) })
    await before.desire('a', { on: true })
    await before.close()
    const now = opened(second)
    const migrated = await now.devices.get('a')
    await now.app.close()
    const last = opened(twin('/lamps/{id}', { reported: Dimmer, desired: Dimmer, version: 2 }))
    expect(await last.devices.get('a')).toEqual(migrated)
    await last.app.close()
  })

  test('are named and set aside where they cannot be migrated, and taken back when they can', async () => {
    const before = twins(first, { storage: disk(folder) })
    await before.desire('a', { on: true })
    await before.desire('b', { name: 'broken' })
    await before.desire('c', { on: false })
    await before.close()

    const broken = opened(second)
    expect(await broken.devices.get('a')).toMatchObject({ desired: { level: 100 } })
    expect(await broken.devices.get('b')).toBeUndefined()
    expect((await broken.devices.setAside()).map(({ id, reason }) => `${id}: ${reason}`)).toEqual(['b: a broken lamp has no level'])
    expect(broken.lines[0]).toBe('iopa: the twin "b" of /lamps/{id} cannot be read and is set aside: a broken lamp has no level')
    await broken.app.close()

    const fixed = opened(twin('/lamps/{id}', { reported: Dimmer, desired: Dimmer, version: 2, migrate: {} }))
    expect(await fixed.devices.get('b')).toMatchObject({ desired: { name: 'broken' } })
    expect(await fixed.devices.setAside()).toEqual([])
    await fixed.app.close()
  })

  test('are set aside without migrate, and where the outcome is not valid', async () => {
    const before = twins(first, { storage: disk(folder) })
    await before.desire('a', { on: true })
    await before.close()
    const none = opened(twin('/lamps/{id}', { reported: Dimmer, desired: Dimmer, version: 2 }))
    expect((await none.devices.setAside())[0]?.reason).toContain('has no migrate() to its version 2')
    await none.app.close()
    const wrong = opened(twin('/lamps/{id}', { reported: Dimmer, desired: Dimmer, version: 2, migrate: {} }))
    expect((await wrong.devices.setAside())[0]?.reason).toMatch(/on/)
    await wrong.app.close()
  })
})

describe('a part of an earlier version', () => {
  test('is migrated where it is a replica of another worker, and refused where it is of a later one', async () => {
    const { app, devices } = opened(second)
    const put = (headers: Record<string, string>, state: unknown) =>
      app.invoke({
        'iopa.Method': 'PUT',
        'iopa.Path': '/lamps/a/desired',
        'iopa.Headers': headers,
        'iopa.Body': state,
        'server.IsReplica': true
      } as never)
    expect((await put({}, { on: true })).status).toBe(200)
    expect(await devices.get('a')).toMatchObject({ desired: { level: 100 } })
    expect((await put({ 'state-version': '2' }, { level: 7 })).status).toBe(200)
    expect(await devices.get('a')).toMatchObject({ desired: { level: 7 } })
    expect(await put({ 'state-version': '3' }, { bright: 1 })).toMatchObject({ status: 409 })
    await app.close()
  })

  test('is refused as one function for both parts', () => {
    expect(() => twin('/lamps/{id}', { reported: Dimmer, desired: Dimmer, version: 2, migrate: dimmed as never })).toThrow('{ reported, desired }')
  })
})
