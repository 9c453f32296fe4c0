import type { RouteValidator } from '@iopa/appbuilder/extension'
import { IopaError } from '@iopa/constants'
import { answerCheck } from './answers.ts'
import { checkSchema } from './checks.ts'
import { bodyPart, partsOf } from './parts.ts'
import { checkedHandler, type Serving } from './served-method.ts'
import type { ServedRequest } from './served-request.ts'

/** The schemas of plain routes: their handlers get `context.input`, and params and query stay text. */
export const routeValidator =
  (serving: Serving): RouteValidator =>
  ({ method, pattern, attributes }, handler) => {
    // Its schemas are validated already.
    if (attributes.resource !== undefined) return undefined
    const name = `${method ?? 'all methods'} ${pattern}`
    const { input, answer } = attributes
    const refuse = (why: string): IopaError => new IopaError(500, 'bad-resource', `The route ${name} ${why}.`)
    for (const part of ['params', 'query', 'headers', 'input', 'answer'] as const) checkSchema(refuse, part, attributes[part])
    const tolerate = (request: ServedRequest, error: unknown): void => serving.replicaFault(name, request, error)
    const parts = [...partsOf(attributes, name, tolerate), ...(input === undefined ? [] : [bodyPart(input, name, undefined, tolerate)])]
    const check = serving.checksAnswers && answer !== undefined ? answerCheck(answer, name) : undefined
    return parts.length === 0 && check === undefined
      ? undefined
      : checkedHandler(parts, (request, next) => handler(request.context, next), check, false)
  }
