import Testing

@testable import Proxy

/// A pipe against a target that takes bytes when it likes: every order of reads, refusals, drains and ends.
@Suite struct RelayPipeTests {
    /// What the pipe is told to do, done to a model of the two ends.
    private struct Model {
        var pipe = Pipe(highWater: 2)
        var waiting = 0
        var isReading = true
        var targetIsShut = false

        mutating func perform(_ action: Pipe.Action) {
            switch action {
            case .nothing: break
            case .pauseSource:
                #expect(isReading, "paused twice")
                isReading = false
            case .resumeSource:
                #expect(!isReading, "resumed while reading")
                isReading = true
            case .shutTarget:
                #expect(!targetIsShut, "shut twice")
                targetIsShut = true
            }
        }
    }

    @Test func everyOrderOfEventsKeepsBytesBoundedAndEndsOnce() {
        var choices = Exhaustive()
        var rounds = 0
        while choices.nextRound() {
            rounds += 1
            var model = Model()
            for _ in 0..<7 {
                switch choices.choose(below: 4) {
                case 0 where model.isReading && !model.targetIsShut:  // the target refuses the byte
                    model.waiting += 1
                    model.perform(model.pipe.moved(1, waiting: model.waiting))
                case 1 where model.isReading && !model.targetIsShut && model.waiting == 0:  // and takes it
                    model.perform(model.pipe.moved(1, waiting: 0))
                case 2:
                    model.waiting = 0
                    model.perform(model.pipe.targetDrained())
                case 3 where model.isReading: model.perform(model.pipe.sourceDidEnd())
                case _: break
                }
                #expect(model.waiting <= 2)
                #expect(model.pipe.sourceEnded == model.targetIsShut)
            }
            // Whatever happened, a drained target has its source read again, unless that has ended.
            model.waiting = 0
            model.perform(model.pipe.targetDrained())
            #expect(model.isReading || model.targetIsShut)
        }
        #expect(rounds == 16_384)
    }

    @Test func countsWhatItMoved() {
        var pipe = Pipe(highWater: 10)
        #expect(pipe.moved(4, waiting: 0) == .nothing)
        #expect(pipe.moved(10, waiting: 10) == .pauseSource)
        #expect(pipe.bytes == 14)
        #expect(pipe.targetDrained() == .resumeSource)
        #expect(pipe.sourceDidEnd() == .shutTarget)
        #expect(pipe.sourceDidEnd() == .nothing)
    }
}
