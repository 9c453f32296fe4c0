import type { Context } from '@iopa/context'
import { AnswerRecord, type EarlierState, RECORD, type RunContext, rareOf, sealAnswer } from '@iopa/context/host'
import type { Observer } from './observer.ts'

/**
 * Has the observer that sent this request get earlier states first, those that it has missed, and then the answer. They are read one by one, as the observer
 * takes them. It has no effect on a request that does not observe.
 */
export const replayFirst = (context: Context, states: AsyncIterable<EarlierState>): void => {
  rareOf((context as RunContext)[RECORD]).earlier = states
}

/** Delivers the earlier states of a first answer, before that. Where they cannot be read, the observer goes on with the state of now. */
export const replay = async (observer: Observer, answer: AnswerRecord, states: AsyncIterable<EarlierState>): Promise<void> => {
  const { context } = observer
  try {
    for await (const { body, headers } of states) {
      if (observer.removed || context.ended) return
      const earlier = new AnswerRecord(context)
      // The first one begins what is sent, with the headers of the answer, such as those of CORS.
      for (const [name, value] of answer.headers) earlier.headers.append(name, value)
      for (const [name, value] of Object.entries(headers)) earlier.headers.set(name, value)
      earlier.body = body
      await sealAnswer(earlier, context.environment.codecs)
      await observer.deliverFirst(earlier)
    }
  } catch (error) {
    if (!context.ended) context['server.Logger'].error(`iopa: the earlier states of ${observer.question.path} could not be read`, error)
  }
}
