import { App, IopaError, reply } from '@iopa/appbuilder'
import { memory } from '@iopa/testing'
import { describe, expect, test } from 'vitest'

/** An app whose outermost middleware notes the status of an answer after `await next()`. */
const logged = (handler?: () => unknown): { readonly app: App; readonly statuses: number[] } => {
  const statuses: number[] = []
  const app = new App({ logger: false }).use(async (context, next) => {
    const value = await next()
    statuses.push(context.response.status)
    return value
  })
  if (handler !== undefined) app.use(handler)
  return { app, statuses }
}

describe('the status that a logger reads after await next()', () => {
  test.each<[string, number, (() => unknown) | undefined]>([
    ['a text', 200, () => 'hello'],
    ['a JSON value from a promise', 200, async () => ({ on: true })],
    ['a reply without a body', 204, () => reply(204)],
    ['a reply of 404', 404, () => reply(404, 'nothing here')],
    ['no handler', 404, undefined],
    ['a handler that sets nothing on GET', 404, () => undefined]
  ])('is that of %s: %i', async (_, status, handler) => {
    const { app, statuses } = logged(handler)
    const answer = await app.invoke({ 'iopa.Method': 'GET', 'iopa.Path': '/' })
    expect([statuses, answer.status]).toEqual([[status], status])
    await app.close()
  })

  test('is 204 for a PUT whose handler sets nothing', async () => {
    const { app, statuses } = logged(() => undefined)
    await app.invoke({ 'iopa.Method': 'PUT', 'iopa.Path': '/' })
    expect(statuses).toEqual([204])
    await app.close()
  })

  test.each<[string, number, Error]>([
    ['an IopaError', 409, new IopaError(409, 'taken', 'Taken.')],
    ['any other error', 500, new Error('secret')]
  ])('is not read where %s passes through, and the answer is %i', async (_, status, error) => {
    const { app, statuses } = logged(() => {
      throw error
    })
    const answer = await app.invoke({ 'iopa.Method': 'GET', 'iopa.Path': '/' }).catch((thrown: IopaError) => thrown)
    expect(answer.status).toBe(status)
    // The error passes through `await next()`: the line behind it does not run.
    expect(statuses).toEqual([])
    await app.close()
  })
})

describe('app.defer', () => {
  test('closes what the app has opened once, after its listeners, the last one first', async () => {
    const log: string[] = []
    const transport = { ...memory({ name: 'deferring' }) }
    const app = new App({ logger: false }).use(transport).use(() => 'x')
    app.defer(reason => void log.push(`first ${reason}`))
    app.defer(async () => void log.push('second'))
    const [listener] = await app.listen()
    const close = listener!.close.bind(listener)
    listener!.close = async options => {
      await close(options)
      log.push('listener')
    }
    expect(log).toEqual([])
    await Promise.all([app.close(), app.close()])
    await app.close()
    expect(log).toEqual(['listener', 'second', 'first shutdown'])
  })

  test('closes it where the app never listened', async () => {
    let closed = 0
    const app = new App({ logger: false })
    app.defer(() => void closed++)
    await app.close()
    expect(closed).toBe(1)
  })
})
