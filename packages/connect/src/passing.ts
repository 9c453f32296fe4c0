import type { Context } from '@iopa/appbuilder'
import { contextOf, preview, RECORD, type RunContext } from '@iopa/context/host'
import type { NodeResponse } from './response.ts'

const REPLACEABLE = ['writeHead', 'write', 'end'] as const

/** True where middleware has replaced what sends: it wants to hear of the answer (a session), or to change it (compression). */
export const isReplaced = (response: NodeResponse): boolean => REPLACEABLE.some(name => Object.hasOwn(response, name))

/**
 * Sends the answer of the app through what middleware has replaced; call it before the head leaves. The promise is there once the middleware has
 * let the head go. A body goes through only where `write` is replaced. An observer's does not: each of its events would be a body.
 */
export const passThrough = (context: Context, response: NodeResponse): Promise<void> | void => {
  const { status } = context.response
  const replacesBody = Object.hasOwn(response, 'write')
  if (replacesBody && context.observe === true) return
  response.pass(status)
  return new Promise((resolve, reject) => {
    response.awaitAnswer(error => (error === undefined ? resolve() : reject(error)))
    if (!Object.hasOwn(response, 'end')) {
      response._implicitHeader()
      response.passed()
    } else if (!replacesBody || context.requestedMethod === 'HEAD' || status === 204 || status === 205 || status === 304) response.end()
    else passBody(context, response).catch(reject)
  })
}

const passBody = async (context: Context, response: NodeResponse): Promise<void> => {
  const record = (contextOf(context) as RunContext)[RECORD]
  const { payload, type } = preview(record)
  if (response.getHeader('content-type') === undefined && payload !== null) record.type = type
  if (payload === null || typeof payload === 'string' || payload instanceof Uint8Array) {
    response.end(payload ?? undefined)
    return
  }
  let wake = (): void => undefined
  response.on('drain', () => wake())
  response.on('close', () => wake())
  try {
    for await (const chunk of payload) {
      if (!response.write(chunk)) await new Promise<void>(resolve => (wake = resolve))
      if (response.destroyed) throw new Error('The request ended before its body.')
    }
    response.end()
  } catch (error) {
    response.destroy(error as Error)
    throw error
  }
}
