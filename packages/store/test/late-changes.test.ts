import type { Storage } from '@iopa/appbuilder/extension'
import { describe, expect, test } from 'vitest'
import { memory } from '../src/index.ts'
import { lightsApp } from './support.ts'

/** A storage whose writes wait for `release` after `hold`. */
const slow = () => {
  const inner = memory()
  const state = { release: (): void => undefined, held: Promise.resolve(), waiting: 0 }
  const storage: Storage = {
    get: key => inner.get(key),
    put: (key, value) => storage.batch([{ type: 'put', key, value }]),
    delete: key => storage.batch([{ type: 'delete', key }]),
    list: range => inner.list(range),
    batch: async changes => {
      state.waiting++
      await state.held
      await inner.batch(changes)
    },
    close: () => inner.close()
  }
  const hold = (): void => {
    state.waiting = 0
    state.held = new Promise(resolve => {
      state.release = resolve
    })
  }
  return { storage, state, hold }
}

const until = async (check: () => boolean): Promise<void> => {
  while (!check()) await new Promise(resolve => setTimeout(resolve, 1))
}

describe('a change whose request ends before it is kept', () => {
  test.each(['PUT', 'PATCH', 'POST'])('is made whole by %s: observers and rules hear of it', async method => {
    const { storage, state, hold } = slow()
    const { app, lights, ask } = lightsApp({ storage, initial: { a: { on: false } } }, { limits: { requestTimeout: 50 } })
    await lights.ready()
    const heard: string[] = []
    const stop = new AbortController()
    const observing = ['/lights/a', '/lights'].map(async path => {
      for await (const answer of app.observe(path, { signal: stop.signal })) heard.push(`${path} ${await answer.text()}`)
    })
    await until(() => heard.length === 2)
    const rules: unknown[] = []
    lights.onChange(change => rules.push(change.state?.on))
    hold()
    expect((await ask(method, method === 'POST' ? '/lights' : '/lights/a', { on: true })).status).toBe(504)
    expect(rules).toEqual([])
    state.release()
    await until(() => rules.length === 1 && heard.length >= (method === 'POST' ? 3 : 4))
    expect(rules).toEqual([true])
    expect(heard.filter(text => text.startsWith('/lights ')).at(-1)).toContain('"on":true')
    if (method !== 'POST') expect(heard.filter(text => text.startsWith('/lights/a')).at(-1)).toContain('"on":true')
    stop.abort()
    await Promise.all(observing)
    await app.close()
  })

  test('is not made where it waits for its turn', async () => {
    const { storage, state, hold } = slow()
    const { app, lights, ask } = lightsApp({ storage, initial: { a: { on: false } } }, { limits: { requestTimeout: 50 } })
    await lights.ready()
    hold()
    const first = ask('PUT', '/lights/a', { on: true, level: 1 })
    await until(() => state.waiting === 1)
    const second = ask('PUT', '/lights/a', { on: true, level: 2 })
    expect([(await first).status, (await second).status]).toEqual([504, 504])
    state.release()
    // It takes its turn behind both.
    const third = await lights.patch('a', light => ({ ...light, name: 'last' }))
    expect(third.state).toEqual({ on: true, level: 1, name: 'last' })
    await app.close()
  })
})
