import { describe, expect, test } from 'vitest'
import { memory, store } from '../src/index.ts'
import { light, lightsApp, recorder } from './support.ts'

const turns = (): Promise<void> => new Promise(resolve => setTimeout(resolve, 5))

describe.each([
  ['in memory', () => ({})],
  ['with a storage', () => ({ storage: memory() })]
])('rules of a store %s', (_, options) => {
  test('run after each change, for a document in the order of its changes', async () => {
    const { app, ask, lights } = lightsApp(options())
    const heard: string[] = []
    lights.onChange(async ({ id, state, previous, replica }) => {
      await Promise.resolve()
      expect((await lights.get(id))?.version).toBeGreaterThan(0)
      heard.push(`${id} ${previous?.level} ${state?.level} ${replica}`)
    })
    await ask('PUT', '/lights/a', { on: true, level: 1 })
    await lights.put('a', { on: true, level: 2 })
    await ask('PATCH', '/lights/a', { level: 3 })
    await ask('PUT', '/lights/a', { on: 7 })
    await turns()
    expect(heard).toEqual(['a undefined 1 false', 'a 1 2 false', 'a 2 3 false'])
    await app.close()
  })

  test('change documents of other stores, whose observers hear of it', async () => {
    const { app, lights: sensors, ask } = lightsApp(options())
    const fans = store(light, { initial: { fan: { on: false } } })
    sensors.onChange(({ state }) => (state !== undefined && state.level > 25 ? fans.put('fan', { on: true }) : undefined))
    const removed = fans.onChange(() => {
      throw new Error('not called')
    })
    removed[Symbol.dispose]()
    await ask('PUT', '/lights/s', { on: true, level: 20 })
    await turns()
    expect((await fans.get('fan'))?.state.on).toBe(false)
    await ask('PUT', '/lights/s', { on: true, level: 30 })
    await turns()
    expect((await fans.get('fan'))?.state.on).toBe(true)
    await fans.close()
    await app.close()
  })

  test('that fail are logged, and do not stop others', async () => {
    const { lines, logger } = recorder()
    const { app, lights } = lightsApp(options(), { logger })
    const heard: number[] = []
    lights.onChange(() => {
      throw new Error('a broken rule')
    })
    lights.onChange(() => Promise.reject(new Error('another broken rule')))
    lights.onChange(({ state }) => heard.push(state?.level ?? -1))
    await lights.put('a', { on: true, level: 1 })
    await lights.delete('a')
    await turns()
    expect(heard).toEqual([1, -1])
    expect(lines.filter(line => line.includes('a rule of /lights/{id} failed'))).toHaveLength(4)
    await app.close()
  })

  test('that lead back to themselves end, and are named', async () => {
    const { lines, logger } = recorder()
    const { app, lights } = lightsApp(options(), { logger })
    let changes = 0
    lights.onChange(async ({ id, state }) => {
      changes++
      await new Promise(resolve => setTimeout(resolve, 0))
      await lights.put(id === 'a' ? 'b' : 'a', { on: true, level: ((state?.level ?? 0) + 1) % 100 })
    })
    await lights.put('a', { on: true })
    for (let before = -1; before !== changes; ) {
      before = changes
      await new Promise(resolve => setTimeout(resolve, 20))
    }
    expect(changes).toBe(32)
    expect(lines.filter(line => line.includes('in a circle'))).toHaveLength(1)
    // A change from outside begins again.
    await lights.put('a', { on: true })
    await turns()
    expect(changes).toBeGreaterThan(32)
    await app.close()
  })

  test('hear of the newest change where one is slow', async () => {
    const { app, lights } = lightsApp(options())
    const heard: (readonly [number | undefined, number | undefined])[] = []
    let release: () => void = () => undefined
    const held = new Promise<void>(resolve => {
      release = resolve
    })
    lights.onChange(async ({ state, previous }) => {
      await held
      heard.push([previous?.level, state?.level])
    })
    for (let at = 0; at < 1000; at++) await lights.put('a', { on: true, level: at % 100 })
    release()
    await turns()
    expect(heard.length).toBeLessThan(300)
    for (const [at, [previous]] of heard.entries()) expect(previous).toBe(at === 0 ? undefined : heard[at - 1]?.[1])
    expect(heard.at(-1)?.[1]).toBe(99)
    await app.close()
  })
})
