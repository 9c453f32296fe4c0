import { App, type Context } from '@iopa/appbuilder'
import { type EarlierState, replayFirst } from '@iopa/appbuilder/extension'
import type { SealedAnswer } from '@iopa/context'
import { describe, expect, test } from 'vitest'

/** An app whose state at /n is a number; `earlier` gives the states that an observer has missed. */
const served = (earlier: (context: Context) => AsyncIterable<EarlierState>) => {
  const state = { n: 3 }
  const logged: unknown[] = []
  const app = new App({ logger: { error: (text: unknown) => logged.push(text) } as never }).use(context => {
    context.response.headers.set('x-kept', 'yes')
    context.response.headers.set('etag', `"${state.n}"`)
    if (context.headers.has('last-event-id')) replayFirst(context, earlier(context))
    return state.n
  })
  const answers: SealedAnswer[] = []
  const observe = (deliver: (answer: SealedAnswer) => Promise<void> | void = () => undefined) => {
    const context = app.create({ 'iopa.Path': '/n', 'iopa.Headers': { 'last-event-id': '"1"' }, 'iopa.Observe': true })
    const observing = app.host().observe(context, answer => {
      answers.push(answer)
      return deliver(answer)
    })
    return { context, observing }
  }
  return { app, state, logged, answers, observe }
}

async function* states(...numbers: number[]): AsyncGenerator<EarlierState> {
  for (const n of numbers) yield { body: n, headers: { etag: `"${n}"` } }
}

const told = (answers: readonly SealedAnswer[]): unknown[][] =>
  answers.map(({ payload, headers }) => [payload, headers.get('etag'), headers.get('x-kept')])

describe('a replay of earlier states', () => {
  test('comes before the first answer, with its headers, and changes come after it', async () => {
    const { app, state, answers, observe } = served(() => states(1, 2))
    await observe().observing
    state.n = 4
    app.notify('/n')
    await new Promise(resolve => setTimeout(resolve, 2))
    expect(told(answers)).toEqual([
      ['1', '"1"', 'yes'],
      ['2', '"2"', 'yes'],
      ['3', '"3"', 'yes'],
      ['4', '"4"', 'yes']
    ])
    await app.close()
  })

  test('waits for each delivery, and a change meanwhile comes after it', async () => {
    const open: (() => void)[] = []
    const { app, state, answers, observe } = served(() => states(1, 2))
    const { observing } = observe(() => new Promise<void>(resolve => open.push(resolve)))
    const next = () => new Promise(resolve => setTimeout(resolve, 2))
    await next()
    expect(answers.length).toBe(1)
    state.n = 4
    app.notify('/n')
    for (let delivered = 1; delivered <= 3; delivered++) {
      open.shift()?.()
      await next()
    }
    await observing
    open.shift()?.()
    await next()
    expect(told(answers).map(([payload]) => payload)).toEqual(['1', '2', '3', '4'])
    await app.close()
  })

  test('ends with its observer', async () => {
    let closed = false
    const { app, answers, observe } = served(async function* () {
      try {
        for (let n = 0; ; n++) yield { body: n, headers: {} }
      } finally {
        closed = true
      }
    })
    const { context, observing } = observe(() => (answers.length === 3 ? void context.end('disconnect') : undefined))
    expect(await observing).toMatchObject({ active: false })
    expect([answers.length, closed, app.live]).toEqual([3, true, 0])
    await app.close()
  })

  test('that fails is logged, and the observer goes on with the state of now', async () => {
    const { app, answers, logged, observe } = served(async function* () {
      yield* states(1)
      throw new Error('the disk is gone')
    })
    await observe().observing
    expect(told(answers).map(([payload]) => payload)).toEqual(['1', '3'])
    expect(logged).toEqual(['iopa: the earlier states of /n could not be read'])
    await app.close()
  })

  test('has no effect on a request that does not observe', async () => {
    let read = false
    const { app } = served(async function* () {
      read = true
      yield* states(1)
    })
    const answer = await app.invoke({ 'iopa.Path': '/n', 'iopa.Headers': { 'last-event-id': '"1"' } })
    expect([await answer.json(), read]).toEqual([3, false])
    await app.close()
  })
})
